package updates

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/go-ole/go-ole"
	"github.com/go-ole/go-ole/oleutil"
)

// search is what waits: neither installed nor hidden by an administrator.
const search = "IsInstalled=0 and IsHidden=0"

// maxEntries bounds what is read of the history, definitions included: three of
// those a day for a year.
const maxEntries = 1500

// ask asks the Windows Update Agent. Its thread is COM's and stays so; the
// process ends soon.
func ask(online bool) (*answer, error) {
	runtime.LockOSThread()
	if err := ole.CoInitializeEx(0, ole.COINIT_APARTMENTTHREADED); err != nil {
		var code *ole.OleError
		if !errors.As(err, &code) || code.Code() != 1 { // S_FALSE: it was already
			return nil, fmt.Errorf("start COM: %w", err)
		}
	}
	a := &answer{}
	if info, err := create("Microsoft.Update.SystemInfo"); err == nil {
		if v, err := info.get("RebootRequired"); err == nil {
			if b, ok := v.Value().(bool); ok {
				a.Reboot = &b
			}
		}
	}
	if auto, err := create("Microsoft.Update.AutoUpdate"); err == nil {
		if r, err := auto.object("Results"); err == nil {
			a.LastSearch = r.time("LastSearchSuccessDate")
		}
		if s, err := auto.object("Settings"); err == nil {
			a.Notification = s.number("NotificationLevel")
		}
	}
	searcher, err := newSearcher(online)
	if err != nil {
		a.EntriesError, a.WaitingError = err.Error(), err.Error()
		return a, nil
	}
	if a.Entries, err = history(searcher); err != nil {
		a.EntriesError = err.Error()
	}
	if a.SearchResult, a.Waiting, err = waits(searcher); err != nil {
		a.WaitingError = err.Error()
	}
	return a, nil
}

func newSearcher(online bool) (object, error) {
	session, err := create("Microsoft.Update.Session")
	if err != nil {
		return object{}, err
	}
	searcher, err := session.object("CreateUpdateSearcher")
	if err != nil {
		return object{}, err
	}
	if _, err := oleutil.PutProperty(searcher.d, "Online", online); err != nil {
		return object{}, fmt.Errorf("set Online to %t: %w", online, err)
	}
	return searcher, nil
}

func history(searcher object) ([]entry, error) {
	v, err := searcher.get("GetTotalHistoryCount")
	if err != nil {
		return nil, err
	}
	n := min(integer(v), maxEntries)
	if n == 0 {
		return []entry{}, nil
	}
	list, err := searcher.object("QueryHistory", int32(0), int32(n))
	if err != nil {
		return nil, err
	}
	out := []entry{}
	return out, list.each(func(e object) {
		one := entry{
			Title: e.text("Title"), When: e.time("Date"), Operation: e.number("Operation"), Result: e.number("ResultCode"), Code: e.number("HResult"),
			Unmapped: e.number("UnmappedResultCode"),
		}
		if id, err := e.object("UpdateIdentity"); err == nil {
			one.ID = id.text("UpdateID")
			id.release()
		}
		one.Categories, _ = e.categories() // only since Windows 7
		out = append(out, one)
	})
}

func waits(searcher object) (result int64, out []waiting, err error) {
	found, err := searcher.object("Search", search)
	if err != nil {
		return 0, nil, err
	}
	result, out = found.number("ResultCode"), []waiting{}
	list, err := found.object("Updates")
	if err != nil {
		return result, nil, err
	}
	err = list.each(func(u object) {
		w := waiting{
			Title: u.text("Title"), Severity: u.text("MsrcSeverity"), Published: u.time("LastDeploymentChangeTime"), Mandatory: u.flag("IsMandatory"), Downloaded: u.flag("IsDownloaded"),
		}
		w.Categories, w.Names = u.categories()
		if id, err := u.object("Identity"); err == nil {
			w.ID = id.text("UpdateID")
			id.release()
		}
		if kbs, err := u.object("KBArticleIDs"); err == nil {
			for i := range min(kbs.number("Count"), maxCategories) {
				if v, err := kbs.get("Item", int32(i)); err == nil {
					w.KBs = append(w.KBs, v.ToString())
				}
			}
			kbs.release()
		}
		if b, err := u.object("InstallationBehavior"); err == nil {
			w.Reboot = b.number("RebootBehavior")
			b.release()
		}
		out = append(out, w)
	})
	return result, out, err
}

const maxCategories = 32

// object is an IDispatch.
type object struct{ d *ole.IDispatch }

func create(program string) (object, error) {
	unknown, err := oleutil.CreateObject(program)
	if err != nil {
		return object{}, fmt.Errorf("create %s: %w", program, err)
	}
	defer unknown.Release()
	d, err := unknown.QueryInterface(ole.IID_IDispatch)
	if err != nil {
		return object{}, fmt.Errorf("create %s: %w", program, err)
	}
	return object{d}, nil
}

func (o object) release() { o.d.Release() }

// get reads a property or calls a method: the flags say both, because Wine
// knows some properties as methods only.
func (o object) get(name string, args ...any) (*ole.VARIANT, error) {
	id, err := o.d.GetSingleIDOfName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	v, err := o.d.Invoke(id, ole.DISPATCH_METHOD|ole.DISPATCH_PROPERTYGET, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, explain(err))
	}
	return v, nil
}

// explain adds the number to an error whose text Windows often does not know.
func explain(err error) error {
	var code *ole.OleError
	if errors.As(err, &code) {
		return fmt.Errorf("%s: %w", hresult(int64(uint32(code.Code()))), err)
	}
	return err
}

func (o object) object(name string, args ...any) (object, error) {
	v, err := o.get(name, args...)
	if err != nil {
		return object{}, err
	}
	d := v.ToIDispatch()
	if d == nil {
		return object{}, fmt.Errorf("%s: no object", name)
	}
	return object{d}, nil
}

func (o object) text(name string) string {
	v, err := o.get(name)
	if err != nil || v.VT != ole.VT_BSTR {
		return ""
	}
	s := v.ToString()
	_ = v.Clear()
	return s
}

func (o object) number(name string) int64 {
	v, err := o.get(name)
	if err != nil {
		return 0
	}
	return integer(v)
}

func integer(v *ole.VARIANT) int64 {
	switch n := v.Value().(type) {
	case int32:
		return int64(n)
	case int64:
		return n
	case uint32:
		return int64(n)
	case int16:
		return int64(n)
	}
	return 0
}

func (o object) flag(name string) bool {
	v, err := o.get(name)
	if err != nil {
		return false
	}
	b, _ := v.Value().(bool)
	return b
}

// time reads a DATE, which the agent gives in UTC.
func (o object) time(name string) time.Time {
	v, err := o.get(name)
	if err != nil || v.VT != ole.VT_DATE {
		return time.Time{}
	}
	return oleDate(math.Float64frombits(uint64(v.Val)))
}

// each calls f for every object of a collection.
func (o object) each(f func(object)) error {
	n, err := o.get("Count")
	if err != nil {
		return err
	}
	for i := range min(integer(n), maxEntries) {
		one, err := o.object("Item", int32(i))
		if err != nil {
			return err
		}
		f(one)
		one.release()
	}
	return nil
}

func (o object) categories() (numbers, names []string) {
	list, err := o.object("Categories")
	if err != nil {
		return nil, nil
	}
	defer list.release()
	for i := range min(list.number("Count"), maxCategories) {
		c, err := list.object("Item", int32(i))
		if err != nil {
			return numbers, names
		}
		numbers, names = append(numbers, c.text("CategoryID")), append(names, c.text("Name"))
		c.release()
	}
	return numbers, names
}
