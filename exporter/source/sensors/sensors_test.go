package sensors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

// said is a device in one line.
func said(d record.Device) string {
	parts := []string{d.Place}
	for _, f := range d.Fields {
		parts = append(parts, f.Key+"="+f.Value.Text())
	}
	return strings.Join(parts, " ")
}

// Every capture, with how many sensors it holds and some of them.
func TestCorpus(t *testing.T) {
	f := func(file string, sensors, values int, some ...string) {
		t.Helper()
		text, err := os.ReadFile(corpus.File(t, "ipmi", "influxdata.telegraf", file))
		if err != nil {
			t.Fatal(err)
		}
		list := ParseSDR(text)
		n := 0
		var all []string
		for i := range list {
			if list[i].Value != nil {
				n++
			}
			all = append(all, said(list[i].device()))
		}
		if len(list) != sensors || n != values {
			t.Errorf("%s: %d sensors, %d with a value; want %d, %d", file, len(list), n, sensors, values)
		}
		for _, want := range some {
			if !slices.Contains(all, want) {
				t.Errorf("%s: no %q among\n%s", file, want, strings.Join(all, "\n"))
			}
		}
	}
	f("mockData_01.txt", 133, 12, "ipmi/Ambient Temp state=ok kind=temperature temperature_celsius=20", "ipmi/Fan 1A Tach state=ok kind=fan speed_rpm=2610", "ipmi/DIMM 1 state=ok reading=0x00")
	f("mockData_02.txt", 7, 4, "ipmi/SEL state=not_readable", "ipmi/Intrusion state=ok kind=intrusion", "ipmi/Current 1 state=ok kind=current flow_amperes=7.2", "ipmi/USB Cable Pres state=ok reading=Connected",
		"ipmi/Power Supply 1 state=ok kind=power reading=Presence detected power_watts=110")
	f("v1Data_03.txt", 9, 5, "ipmi/ECC Corr Err state=not_readable", "ipmi/Altitude state=ok reading=80 feet", "ipmi/Planar 3.3V state=ok kind=voltage potential_volts=3.29")
	f("v2Data_04.txt", 7, 4, "ipmi/Inlet Temp state=ok kind=temperature temperature_celsius=25")
}

// What a discrete sensor says, and what that means.
func TestJudge(t *testing.T) {
	f := func(status, reading, want string) {
		t.Helper()
		s := Sensor{}
		s.read(reading)
		s.judge(status)
		if s.State != want {
			t.Errorf("%s %q is %s, want %s", status, reading, s.State, want)
		}
	}
	f("ok", "Presence detected", StateOK)
	f("ok", "Presence detected, Failure detected", StateCritical)
	f("ok", "Presence detected, Power Supply AC lost", StateCritical)
	f("ok", "0 Watts, Presence detected, Failure detected", StateCritical)
	f("ok", "Predictive failure", StateWarning)
	f("ok", "Fully Redundant", StateOK)
	f("ok", "Redundancy Lost", StateWarning)
	f("ok", "Drive Present, Drive Fault", StateCritical)
	f("ok", "General Chassis intrusion", StateWarning)
	f("ok", "Uncorrectable ECC", StateCritical)
	f("nc", "39 degrees C", StateWarning)
	f("ucr", "99 degrees C", StateCritical)
	f("lnr", "0 RPM", StateCritical)
	f("ns", "Disabled", StateNotReadable)
	f("ns", "No Reading", StateNotReadable)
}

// tree makes files below a root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func collect(t *testing.T, r *Reader) (string, []string, error) {
	t.Helper()
	recs, err := r.Collect(t.Context())
	if len(recs) == 0 {
		return "", nil, err
	}
	var out []string
	for _, s := range recs[0].Snapshot.Sections {
		out = append(out, "section "+s.Scope)
	}
	for _, d := range recs[0].Snapshot.Devices {
		out = append(out, said(d))
	}
	return recs[0].Body, out, err
}

func TestHwmon(t *testing.T) {
	root := tree(t, map[string]string{
		"sys/class/hwmon/hwmon0/name":              "coretemp\n",
		"sys/class/hwmon/hwmon0/temp1_input":       "91000\n",
		"sys/class/hwmon/hwmon0/temp1_label":       "Package id 0\n",
		"sys/class/hwmon/hwmon0/temp1_max":         "84000\n",
		"sys/class/hwmon/hwmon0/temp1_crit":        "100000\n",
		"sys/class/hwmon/hwmon0/temp2_input":       "101000\n",
		"sys/class/hwmon/hwmon0/temp2_crit":        "100000\n",
		"sys/class/hwmon/hwmon1/name":              "nct6775\n",
		"sys/class/hwmon/hwmon1/fan1_input":        "0\n",
		"sys/class/hwmon/hwmon1/fan1_min":          "500\n",
		"sys/class/hwmon/hwmon1/fan1_alarm":        "1\n",
		"sys/class/hwmon/hwmon1/in0_input":         "912\n",
		"sys/class/hwmon/hwmon1/in0_max":           "0\n",
		"sys/class/hwmon/hwmon1/in0_alarm":         "1\n",
		"sys/class/hwmon/hwmon1/power1_average":    "8500000\n",
		"sys/class/hwmon/hwmon1/temp7_input":       "oops\n",
		"sys/class/hwmon/hwmon1/temp8_input":       "30000\n",
		"sys/class/hwmon/hwmon1/temp8_fault":       "1\n",
		"sys/class/hwmon/hwmon1/temp8_crit":        "127500000\n",
		"sys/class/hwmon/hwmon1/uevent":            "",
		"sys/class/hwmon/hwmon2/name":              "coretemp\n",
		"sys/class/hwmon/hwmon2/temp1_input":       "40000\n",
		"sys/class/hwmon/hwmon3/name":              "acpitz\n",
		"sys/class/hwmon/hwmon3/temp1_input_extra": "1\n",
	})
	body, got, err := collect(t, NewReader(Options{Config: Config{Hwmon: true}, Root: root}))
	want := []string{
		"section coretemp", "section nct6775", "section coretemp@hwmon2", "section acpitz",
		"coretemp/Package id 0 state=warning kind=temperature temperature_celsius=91 upper_warning=84 upper_critical=100",
		"coretemp/temp2 state=critical kind=temperature temperature_celsius=101 upper_critical=100",
		"coretemp@hwmon2/temp1 state=ok kind=temperature temperature_celsius=40",
		"nct6775/fan1 state=warning kind=fan speed_rpm=0 lower_warning=500",
		"nct6775/in0 state=ok kind=voltage potential_volts=0.912",
		"nct6775/power1 state=ok kind=power power_watts=8.5",
		"nct6775/temp7 state=not_readable kind=temperature",
		"nct6775/temp8 state=critical kind=temperature temperature_celsius=30",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if body != "sensors: 8, 4 past their limits, the first: coretemp/Package id 0 is warning" {
		t.Error(body)
	}
}

func TestIPMI(t *testing.T) {
	root := tree(t, map[string]string{"dev/ipmi0": "", "ipmitool": ""})
	if err := os.Chmod(filepath.Join(root, "ipmitool"), 0o700); err != nil {
		t.Fatal(err)
	}
	replies := map[string]string{
		"sdr":    "Temp             | 0Eh | ok  |  3.1 | 44 degrees C\nTemp             | 0Fh | ok  |  3.2 | 97 degrees C\nPS2 | 65h | ok | 10.2 | Presence detected, Power Supply AC lost\n",
		"sensor": "Temp | 44.000 | degrees C | ok | na | 3.000 | 8.000 | 88.000 | 93.000 | na\nTemp | 97.000 | degrees C | ucr | na | 3.000 | 8.000 | 90.000 | 95.000 | na\nPS2 | 0x1 | discrete | 0x0100| na | na | na | na | na | na\n",
	}
	var failing error
	o := Options{Config: Config{Command: []string{filepath.Join(root, "ipmitool"), "-I", "open"}}, Root: root,
		Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
			if args[0] != "-I" {
				return nil, fmt.Errorf("asked %q", args)
			}
			return []byte(replies[args[2]]), failing
		}}
	r := NewReader(o)
	f := func(wantErr string, want ...string) {
		t.Helper()
		_, got, err := collect(t, r)
		if fmt.Sprint(err) != wantErr || !slices.Equal(got, want) {
			t.Errorf("%v\n%s\nwant %s\n%s", err, strings.Join(got, "\n"), wantErr, strings.Join(want, "\n"))
		}
	}
	all := []string{
		"section ipmi", "ipmi/PS2 state=critical kind=power_supply reading=Presence detected, Power Supply AC lost",
		"ipmi/Temp state=ok kind=temperature temperature_celsius=44 lower_critical=3 lower_warning=8 upper_warning=88 upper_critical=93",
		"ipmi/Temp#2 state=ok kind=temperature temperature_celsius=97 lower_critical=3 lower_warning=8 upper_warning=90 upper_critical=95",
	}
	f("<nil>", all...)
	failing = errors.New("exit status 1") // a sensor that is not in the reply may be there all the same
	f("<nil>", append([]string{"section ipmi/Temp", "section ipmi/Temp#2", "section ipmi/PS2"}, all[1:]...)...)
	replies["sdr"] = "Could not open device at /dev/ipmi0\n"
	f("ask the management controller: ipmitool named no sensor")
	replies["sdr"] = ""
	f("ask the management controller: exit status 1")
}

func TestNothingToMeasure(t *testing.T) {
	recs, err := NewReader(Options{Config: DefaultConfig(), Root: t.TempDir()}).Collect(t.Context())
	if !errors.Is(err, errors.ErrUnsupported) || len(recs) != 0 {
		t.Errorf("%v, %v", recs, err)
	}
}

// A controller that nobody can ask is told beside what hwmon has.
func TestControllerWithoutTool(t *testing.T) {
	r := NewReader(Options{Config: DefaultConfig(), Root: tree(t, map[string]string{"dev/ipmi0": "", "sys/class/hwmon/hwmon0/temp1_input": "40000\n"})})
	r.places = []string{filepath.Join(t.TempDir(), "absent")}
	body, _, err := collect(t, r)
	if want := "sensors: 1, none past its limits; there is a management controller, and no ipmitool to ask it"; runtime.GOOS != "windows" && (err != nil || body != want) {
		t.Errorf("%q, %v", body, err)
	}
}

func TestKinds(t *testing.T) {
	list := ParseSDR([]byte("PS1 Status | C8h | ok | 10.1 | Presence detected\nIntrusion | 73h | ok | 7.1 |\nFan Redundancy | 75h | ok | 29.1 | Fully Redundant\nFan 1 | 30h | ok | 29.2 | 2610 RPM\nSEL | 72h | ns | 7.1 | No Reading\nPS1 Status | ok | ok\n"))
	var got []string
	for i := range list {
		got = append(got, list[i].Kind)
	}
	if want := "power_supply,intrusion,cooling,fan,,"; strings.Join(got, ",") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestConfigIsChecked(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Command = []string{"ipmitool"}
	if err := c.Validate(); err == nil || err.Error() != `sensors command ["ipmitool"]: write the absolute path of ipmitool` {
		t.Error(err)
	}
}

func FuzzIPMI(f *testing.F) {
	corpus.Seeds(f, "ipmi/*/*.txt")
	f.Add([]byte("Temp | 0Eh | ok | 3.1 | 44 degrees C\nPS2 | 65h | ok | 10.2 | Presence detected\n"))
	f.Add([]byte("Temp | 44.000 | degrees C | ok | na | 3.000 | 8.000 | 88.000 | 93.000 | na\nA | 0x00 | ok\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list := ParseSDR(text)
		addLimits(list, ParseSensor(text))
		place(list)
		for i := range list {
			d := list[i].device()
			if d.Place == "" || d.Field(record.FieldState).Str() == "" {
				t.Fatalf("%+v", d)
			}
			keys := map[string]bool{}
			for _, f := range d.Fields {
				if keys[f.Key] {
					t.Fatalf("field %s twice in %+v", f.Key, d)
				}
				keys[f.Key] = true
			}
		}
	})
}
