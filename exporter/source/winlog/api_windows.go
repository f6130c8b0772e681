package winlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	wevtapi                  = windows.NewLazySystemDLL("wevtapi.dll")
	evtSubscribe             = wevtapi.NewProc("EvtSubscribe")
	evtNext                  = wevtapi.NewProc("EvtNext")
	evtRender                = wevtapi.NewProc("EvtRender")
	evtCreateBookmark        = wevtapi.NewProc("EvtCreateBookmark")
	evtUpdateBookmark        = wevtapi.NewProc("EvtUpdateBookmark")
	evtClose                 = wevtapi.NewProc("EvtClose")
	evtOpenLog               = wevtapi.NewProc("EvtOpenLog")
	evtGetLogInfo            = wevtapi.NewProc("EvtGetLogInfo")
	evtOpenPublisherMetadata = wevtapi.NewProc("EvtOpenPublisherMetadata")
	evtFormatMessage         = wevtapi.NewProc("EvtFormatMessage")
	wineVersion              = windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version")
)

// Flags of winevt.h.
const (
	subscribeFuture        = 1
	subscribeOldest        = 2
	subscribeAfterBookmark = 3
	subscribeStrict        = 0x10000
	renderXML              = 1
	renderBookmark         = 2
	formatMessageEvent     = 1
	openChannelPath        = 1
	logRecords             = 5
	logOldestRecord        = 6
	variantUint64          = 10
)

// waitTime is how long Next waits for an event; an answer comes sooner than the
// source is taken for dead.
const waitTime = pulse / 2

// open returns Windows' own event log. Under Wine it is not supported: there
// several of these calls end the process.
func open() (EventAPI, error) {
	if wineVersion.Find() == nil {
		return nil, fmt.Errorf("the event log under Wine, which has none: %w", errors.ErrUnsupported)
	}
	if err := wevtapi.Load(); err != nil {
		return nil, fmt.Errorf("load wevtapi.dll: %w (%w)", err, errors.ErrUnsupported)
	}
	return &system{publishers: newPublishers(openPublisher, closeHandle)}, nil
}

// system is Windows' event log; the publishers are shared by all channels.
type system struct{ publishers *publishers[handle] }

type handle = uintptr

func code(err error) uint32 {
	var e syscall.Errno
	if errors.As(err, &e) {
		return uint32(e)
	}
	return 0
}

func closeHandle(h handle) {
	if h != 0 {
		_, _, _ = evtClose.Call(h) // nothing to be done about a handle that is not one
	}
}

func openPublisher(name string) (handle, error) {
	ptr, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	h, _, err := evtOpenPublisherMetadata.Call(0, uintptr(unsafe.Pointer(ptr)), 0, 0, 0)
	if h == 0 {
		return 0, classify("EvtOpenPublisherMetadata", code(err))
	}
	return h, nil
}

// Kept implements EventAPI.
func (*system) Kept(channel string) (oldest, count uint64, err error) {
	path, err := windows.UTF16PtrFromString(channel)
	if err != nil {
		return 0, 0, err
	}
	h, _, err := evtOpenLog.Call(0, uintptr(unsafe.Pointer(path)), openChannelPath)
	if h == 0 {
		return 0, 0, classify("EvtOpenLog", code(err))
	}
	defer closeHandle(h)
	if oldest, err = logInfo(h, logOldestRecord); err != nil {
		return 0, 0, err
	}
	count, err = logInfo(h, logRecords)
	return oldest, count, err
}

// logInfo asks for a number of a log; 0 where an empty one has none.
func logInfo(h handle, property uintptr) (uint64, error) {
	// EVT_VARIANT: a value of 8 bytes, a count, a type.
	var v struct {
		value       uint64
		count, kind uint32
	}
	var used uint32
	if ok, _, err := evtGetLogInfo.Call(h, property, unsafe.Sizeof(v), uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&used))); ok == 0 {
		return 0, classify("EvtGetLogInfo", code(err))
	}
	if v.kind != variantUint64 {
		return 0, nil
	}
	return v.value, nil
}

// subscription is a pull subscription with its signal.
type subscription struct {
	system   *system
	ch       Channel
	filter   filter
	result   handle
	signal   windows.Handle
	bookmark handle
	buf      []uint16
}

// Subscribe implements EventAPI.
func (y *system) Subscribe(ch Channel, from Start) (Subscription, error) {
	path, err := windows.UTF16PtrFromString(ch.Name)
	if err != nil {
		return nil, err
	}
	q, err := windows.UTF16PtrFromString(ch.query())
	if err != nil {
		return nil, err
	}
	signal, err := windows.CreateEvent(nil, 1, 1, nil)
	if err != nil {
		return nil, fmt.Errorf("create the signal: %w", err)
	}
	s := &subscription{system: y, ch: ch, filter: newFilter(&ch), signal: signal, buf: make([]uint16, firstBuffer)}
	flags := uintptr(subscribeFuture)
	switch {
	case from.Bookmark != "":
		flags = subscribeAfterBookmark
		if !from.Near {
			flags |= subscribeStrict
		}
		if s.bookmark, err = newBookmark(from.Bookmark); err != nil {
			_ = s.Close()
			return nil, err
		}
	case from.Oldest:
		flags = subscribeOldest
	}
	h, _, err := evtSubscribe.Call(0, uintptr(signal), uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(q)), s.bookmark, 0, 0, flags)
	if h == 0 {
		_ = s.Close()
		return nil, classify("EvtSubscribe", code(err))
	}
	s.result = h
	return s, nil
}

// newBookmark makes a bookmark of its XML, or an empty one.
func newBookmark(text string) (handle, error) {
	var ptr *uint16
	if text != "" {
		var err error
		if ptr, err = windows.UTF16PtrFromString(text); err != nil {
			return 0, fmt.Errorf("%w (%w)", err, ErrBookmarkLost)
		}
	}
	h, _, err := evtCreateBookmark.Call(uintptr(unsafe.Pointer(ptr)))
	if h == 0 {
		return 0, classify("EvtCreateBookmark", code(err))
	}
	return h, nil
}

// Close implements Subscription.
func (s *subscription) Close() error {
	closeHandle(s.result)
	closeHandle(s.bookmark)
	s.result, s.bookmark = 0, 0
	return windows.CloseHandle(s.signal)
}

// Next implements Subscription.
func (s *subscription) Next(ctx context.Context, n int) (Batch, error) {
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return Batch{}, fmt.Errorf("create the stop signal: %w", err)
	}
	set := make(chan struct{})
	undo := context.AfterFunc(ctx, func() { defer close(set); _ = windows.SetEvent(stop) })
	defer func() {
		if !undo() {
			<-set // the handle must outlive its signal
		}
		_ = windows.CloseHandle(stop)
	}()
	events := make([]handle, max(n, 1))
	for waited := false; ; waited = true {
		// Reset before asking: an event that comes in between sets it again.
		if err := windows.ResetEvent(s.signal); err != nil {
			return Batch{}, fmt.Errorf("reset the signal: %w", err)
		}
		var got uint32
		ok, _, err := evtNext.Call(s.result, uintptr(len(events)), uintptr(unsafe.Pointer(&events[0])), 0, 0, uintptr(unsafe.Pointer(&got)))
		if ok != 0 && got > 0 {
			return s.batch(events[:min(int(got), len(events))])
		}
		if c := code(err); ok == 0 && !nothingYet(c) {
			s.system.publishers.clear()
			return Batch{}, classify("EvtNext", c)
		}
		if err := ctx.Err(); err != nil || waited {
			return Batch{}, err
		}
		// The wait ends now and then: a signal that Windows forgot is found.
		if _, err := windows.WaitForMultipleObjects([]windows.Handle{stop, s.signal}, false, uint32(waitTime.Milliseconds())); err != nil {
			return Batch{}, fmt.Errorf("wait for events: %w", err)
		}
	}
}

func (s *subscription) batch(events []handle) (b Batch, err error) {
	defer func() {
		for _, h := range events {
			closeHandle(h)
		}
	}()
	for _, h := range events {
		text, err := s.render(h, renderXML)
		if serviceGone(err) {
			s.system.publishers.clear() // their handles are as dead
			return Batch{}, err
		}
		e := Event{XML: text, Err: err}
		if err == nil {
			e.Message = s.message(h, text)
		}
		b.Events = append(b.Events, e)
	}
	if s.bookmark == 0 {
		if s.bookmark, err = newBookmark(""); err != nil {
			return Batch{}, err
		}
	}
	if ok, _, err := evtUpdateBookmark.Call(s.bookmark, events[len(events)-1]); ok == 0 {
		return Batch{}, classify("EvtUpdateBookmark", code(err))
	}
	b.Bookmark, err = s.render(s.bookmark, renderBookmark)
	return b, err
}

// render asks for XML.
func (s *subscription) render(h handle, flags uintptr) (string, error) {
	n, err := rendered("EvtRender", &s.buf, func(buf []uint16) (int, uint32) {
		var used, properties uint32
		ok, _, err := evtRender.Call(0, h, flags, uintptr(2*len(buf)), uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&used)), uintptr(unsafe.Pointer(&properties)))
		return int(used+1) / 2, outcome(ok != 0, code(err))
	})
	if err != nil {
		return "", err
	}
	return windows.UTF16ToString(s.buf[:n]), nil
}

// message formats the event's text with its provider's library; "" where that
// is not possible, which is common and no error. That of a forwarded event is
// in the event, or nowhere: this machine's libraries may say something else.
// What the filter leaves out needs none: formatting is most of the work.
func (s *subscription) message(h handle, text string) (m string) {
	if s.ch.forwarded() || strings.Contains(text, "<RenderingInfo") {
		return ""
	}
	name := providerOf(text)
	if name == "" || !s.filter.provider(strings.ToLower(name)) {
		return ""
	}
	s.system.publishers.use(name, time.Now(), func(p handle) {
		n, err := rendered("EvtFormatMessage", &s.buf, func(buf []uint16) (int, uint32) {
			var used uint32
			ok, _, err := evtFormatMessage.Call(p, h, 0, 0, 0, formatMessageEvent, uintptr(len(buf)), uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&used)))
			return int(used), outcome(ok != 0, code(err))
		})
		if err == nil {
			m = windows.UTF16ToString(s.buf[:n])
		}
	})
	return m
}
