package raid

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// tool answers like storcli64 with the captures of one machine.
func tool(t *testing.T, answers map[string]string, asked *[]string) source.Runner {
	return func(_ context.Context, _ string, args ...string) ([]byte, error) {
		*asked = append(*asked, strings.Join(args, " "))
		name, ok := answers[args[0]]
		if !ok {
			return nil, errors.New("no answer")
		}
		return scality(t, name), nil
	}
}

func trusted(t *testing.T) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "storcli64")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

func TestCollect(t *testing.T) {
	var asked []string
	cfg := DefaultConfig()
	cfg.Command = trusted(t)
	answers := map[string]string{"/call": "controllers__c0.json", "/call/eall/sall": "physicaldrives__show__all.json", "/call/vall": "logicalvolumes__show__all.json", "/call/cv": "controllers__c5_invalid.json"}
	r := NewReader(Options{Config: cfg, Run: tool(t, answers, &asked)})
	collect := func() record.Record {
		t.Helper()
		recs, err := r.Collect(t.Context())
		if err != nil || len(recs) != 1 {
			t.Fatal(recs, err)
		}
		return recs[0]
	}
	rec := collect()
	want := []string{"/call show all J", "/call/eall/sall show all J", "/call/vall show all J", "/call/cv show all J"}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if rec.Name != record.NameSnapshot || rec.Snapshot == nil || rec.Body != "RAID: 1 controllers, 12 virtual drives, 12 physical drives; 1 problems, the first: c5: Controller 5 not found" {
		t.Errorf("record: %+v", rec)
	}
	if raw := rec.Attr(record.AttrRaw).Str(); !strings.Contains(raw, "ZVT1ZB580000C2372XE4") || len(raw) > MaxRaw {
		t.Errorf("the raw document has %d bytes", len(raw))
	}
	if got := rec.Attr(AttrProblems).List(); len(got) != 1 || got[0].Str() != "c5: Controller 5 not found" {
		t.Errorf("problems: %v", got)
	}
	if !hasSection(rec.Snapshot, record.DeviceController, "") {
		t.Error("every controller answered: they were observed everywhere")
	}
	if n := record.RecordSize(&rec); n > record.MaxRecord {
		t.Errorf("a record of %d bytes", n)
	}
	if second := collect(); !second.Attr(record.AttrRaw).IsNull() {
		t.Error("nothing changed, and the raw document came again")
	}
	answers["/call"] = "controllers__c0_s12_UGood.json"
	answers["/call/vall"] = "logicalvolumes__show__all_NOv228.json"
	if third := collect(); third.Attr(record.AttrRaw).IsNull() {
		t.Error("a volume is gone, and the raw document is not there as evidence")
	}
}

// made is a reply of our own making: no capture of a rebuild exists.
func made(data string) string {
	return `{"Controllers":[{"Command Status":{"Controller":0,"Status":"Success"},"Response Data":` + data + `}]}`
}

// The progress of what is under way is asked for, and only then.
func TestProgress(t *testing.T) {
	var asked []string
	answers := map[string]string{
		"/call all":           made(`{"Basics":{"Model":"X"},"Physical Drives":2,"PD LIST":[{"EID:Slt":"252:0","State":"Rbld"},{"EID:Slt":"252:1","State":"Onln"}],"Virtual Drives":1,"VD LIST":[{"DG/VD":"0/0","State":"Dgrd"}]}`),
		"/call/eall/sall all": made(`{"Drive /c0/e252/s0":[{"EID:Slt":"252:0","State":"Rbld"}]}`),
		"/call/vall all":      made(`{"/c0/v0":[{"DG/VD":"0/0","State":"Dgrd"}],"VD0 Properties":{"Active Operations":"Background Initialization (5%)"}}`),
		"/call/eall/sall rebuild": made(`[{"Drive-ID":"/c0/e252/s0","Progress%":37,"Status":"In progress","Estimated Time Left":"1 Hours 20 Minutes"},` +
			`{"Drive-ID":"/c0/e252/s1","Progress%":"-","Status":"Not in progress","Estimated Time Left":"-"},{"Drive-ID":"/c9/e1/s1","Progress%":1,"Status":"In progress"}]`),
		"/call/vall bgi": made(`{"VD Operation Status":[{"VD":0,"Operation":"BGI","Progress%":6,"Status":"In progress","Estimated Time Left":"2 Days 1 Hours"}]}`),
	}
	cfg := DefaultConfig()
	cfg.Command = trusted(t)
	r := NewReader(Options{Config: cfg, Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
		key := args[0] + " " + args[2]
		asked = append(asked, key)
		return []byte(answers[key]), nil
	}})
	recs, err := r.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(asked, ", "); got != "/call all, /call/eall/sall all, /call/vall all, /call/eall/sall rebuild, /call/vall bgi" {
		t.Errorf("asked %s", got)
	}
	for _, want := range []string{"c0/e252/s0 37 4800", "c0/e252/s1 null null", "c0/v0 6 176400"} {
		place := strings.Fields(want)[0]
		found := false
		for _, d := range recs[0].Snapshot.Devices {
			if d.Place == place {
				found = true
				show := func(key string) string { b, _ := d.Field(key).MarshalJSON(); return string(b) }
				if got := place + " " + show("progress_percent") + " " + show("time_left_seconds"); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		}
		if !found {
			t.Errorf("no %s in %+v", place, recs[0].Snapshot.Devices)
		}
	}
	asked = nil
	answers["/call all"] = strings.ReplaceAll(answers["/call all"], "Rbld", "Onln")
	answers["/call/eall/sall all"] = strings.ReplaceAll(answers["/call/eall/sall all"], "Rbld", "Onln")
	answers["/call/vall all"] = strings.ReplaceAll(answers["/call/vall all"], "Background Initialization (5%)", "None")
	if _, err := r.Collect(t.Context()); err != nil || len(asked) != 3 {
		t.Errorf("asked %q when nothing is under way, %v", asked, err)
	}
}

func TestTimeLeft(t *testing.T) {
	f := func(s string, want int64, ok bool) {
		t.Helper()
		if got, is := timeLeft(s); got != want || is != ok {
			t.Errorf("%q: %d, %v", s, got, is)
		}
	}
	f("25 Minutes", 1500, true)
	f("1 Day 2 Hours 3 Minutes 4 Seconds", 93784, true)
	f("-", 0, false)
	f("", 0, false)
	f("soon", 0, false)
	f("-3 Hours", 0, false)
	f("3 Moons", 0, false)
}

// Of several tools the one that knows a controller is asked, and kept.
func TestSeveralTools(t *testing.T) {
	first, second := trusted(t)[0], trusted(t)[0]
	var asked []string
	r := NewReader(Options{Config: DefaultConfig(), Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
		asked = append(asked, filepath.Base(filepath.Dir(name))+" "+args[0])
		if name == first {
			return []byte(`{"Controllers":[{"Command Status":{"Status":"Failure","Description":"No Controller found"}}]}`), nil
		}
		return []byte(made(`{"Basics":{"Model":"X"},"Physical Drives":0}`)), nil
	}})
	r.places = []string{filepath.Join(t.TempDir(), "absent"), first, second}
	for range 2 {
		recs, err := r.Collect(t.Context())
		if err != nil || len(recs) != 1 || recs[0].Snapshot.Devices[0].Place != "c0" {
			t.Fatalf("%+v, %v", recs, err)
		}
	}
	dir := func(p string) string { return filepath.Base(filepath.Dir(p)) }
	if want := []string{dir(first) + " /call", dir(second) + " /call", dir(second) + " /call"}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// storcli and storcli2 see different cards and both count from c0.
func TestTwoGenerations(t *testing.T) {
	old, young := trusted(t)[0], filepath.Join(t.TempDir(), "storcli2")
	if err := os.WriteFile(young, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	const none = `{"Controllers":[{"Command Status":{"Status":"Failure","Description":"No Controller found"}}]}`
	card := func(serial string) string {
		return made(`{"Basics":{"Model":"X","Serial Number":"` + serial + `"},"Physical Drives":1,"PD LIST":[{"EID:Slt":"252:1","State":"Onln"}]}`)
	}
	type round struct{ old, young, want, err string }
	const both = "[ controller] c0 A1; [ controller] storcli2:c0 B1; [c0 physical_drive] c0/e252/s1 ; [storcli2:c0 physical_drive] storcli2:c0/e252/s1 "
	const second = "[storcli2:c0 controller] storcli2:c0 B1; [storcli2:c0 physical_drive] storcli2:c0/e252/s1 "
	f := func(why string, rounds ...round) {
		t.Helper()
		var now round
		r := NewReader(Options{Config: DefaultConfig(), Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
			reply := now.young
			if name == old {
				reply = now.old
			}
			if reply == "" {
				return nil, errors.New("no answer")
			}
			if args[0] != "/call" {
				reply = made(`{}`)
			}
			return []byte(reply), nil
		}})
		r.places = []string{old, young}
		for i, now2 := range rounds {
			now = now2
			recs, err := r.Collect(t.Context())
			var order []string
			for _, d := range recs[0].Snapshot.Devices {
				at := "not observed"
				for _, s := range recs[0].Snapshot.Sections {
					if s.Covers(d.Type, d.Place) {
						at = "[" + s.Scope + " " + s.Type + "]"
					}
				}
				order = append(order, at+" "+d.Place+" "+d.Occupant)
			}
			if all := strings.Join(order, "; "); all != now.want || (err != nil) != (now.err != "") {
				t.Errorf("%s, round %d: %s, %v\nwant %s", why, i+1, all, err, now.want)
			}
		}
	}
	f("both know cards; then the first fails: its cards are not gone, and the other's stay where they are",
		round{card("A1"), card("B1"), both, ""}, round{"", card("B1"), second, "no answer"}, round{card("A1"), card("B1"), both, ""})
	f("the first knows nothing: plain places, also while it fails later",
		round{none, card("B1"), "[ controller] c0 B1; [c0 physical_drive] c0/e252/s1 ", ""}, round{"", card("B1"), "[c0 controller] c0 B1; [c0 physical_drive] c0/e252/s1 ", "no answer"})
	f("the first fails from the start: it may know cards", round{"", card("B1"), second, "no answer"})
	f("only the first", round{card("A1"), none, "[ controller] c0 A1; [c0 physical_drive] c0/e252/s1 ", ""})
}

func TestCollectPartly(t *testing.T) {
	var asked []string
	cfg := DefaultConfig()
	cfg.Command = trusted(t)
	r := NewReader(Options{Config: cfg, Run: tool(t, map[string]string{"/call": "controllers__c0.json"}, &asked)})
	recs, err := r.Collect(t.Context())
	if err == nil || len(recs) != 1 || len(recs[0].Snapshot.Devices) != 27 {
		t.Errorf("%d records, error %v: want the controller's own reply and the error about the others", len(recs), err)
	}
}

func TestCollectWithoutTool(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Command = []string{filepath.Join(t.TempDir(), "absent")}
	if _, err := NewReader(Options{Config: cfg}).Collect(t.Context()); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a configured tool that is missing: %v; want not exist, and to be asked again", err)
	}
}

// A child that storcli started, and that holds its output open, must not keep
// the round from ending: the real runner against a script made for this test.
func TestRunnerKillsTheTree(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh on this system")
	}
	cmd := trusted(t)
	if err := os.WriteFile(cmd[0], []byte("#!/bin/sh\necho '{\"Controllers\":[]}'\nsleep 600 &\necho $! > \"$0.child\"\nsleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Command = cmd
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := NewReader(Options{Config: cfg}).Collect(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Command = []string{"storcli64"} }, `raid command "storcli64": write the absolute path of storcli64 or perccli64`)
	f(func(c *Config) { c.Args = []string{"show"} }, `raid args ["show"]: one of them must hold {path}, such as ["{path}", show, all, J]`)
	f(func(c *Config) { c.Deadline = 2 * c.Period }, "raid: deadline 2m0s: write more than 0s and at most the period 1m0s")
}

func TestRawIsCut(t *testing.T) {
	long := []byte(`{"a": "` + strings.Repeat("é", MaxRaw) + `"}`)
	got := Raw(long, []byte("text"))
	if len(got) > MaxRaw || !strings.Contains(got, "… cut here: 131072 of 262157 bytes") {
		t.Errorf("%d bytes, end %q", len(got), got[max(0, len(got)-60):])
	}
}
