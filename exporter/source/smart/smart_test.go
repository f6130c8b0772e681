package smart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

// Every capture: 53 disks and 2 scans, none of them refused.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t), "smart", "*", "*.json"))
	if err != nil || len(files) != 55 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	count := map[string]int{}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(file, "_scan__") {
			list, err := ParseScan(doc)
			if err != nil || len(list) == 0 {
				t.Errorf("%s: %v, %v", file, list, err)
			}
			count["scanned"] += len(list)
			continue
		}
		d, err := Parse(doc)
		if err != nil || !d.Supported || d.Asleep {
			t.Errorf("%s: %+v, %v", file, d, err)
			continue
		}
		count["disks"]++
		count[d.Protocol]++
		count["is "+d.State]++
		for name, said := range map[string]bool{
			"model": d.Model != "", "firmware": d.Firmware != "", "temperature": d.Temperature != nil, "hours": d.PowerOnHours != nil, "size": d.Bytes != nil,
			"reallocated": d.Reallocated != nil, "pending": d.Pending != nil, "life": d.LifeLeft != nil, "written": d.BytesWritten != nil, "self test": d.SelfTestFailed != nil, "text": d.Text != "",
		} {
			if said {
				count[name]++
			}
		}
	}
	want := map[string]int{"ATA": 31, "NVMe": 15, "SCSI": 7, "disks": 53, "firmware": 53, "hours": 52, "is ok": 53, "life": 25, "model": 53, "pending": 28, "reallocated": 37, "scanned": 13,
		"self test": 1, "size": 53, "temperature": 52, "text": 4, "written": 23}
	if got := fmt.Sprint(count); got != fmt.Sprint(want) {
		t.Errorf("counted %s\nwant %v", got, want)
	}
}

func one(t *testing.T, parts ...string) string {
	t.Helper()
	doc, err := os.ReadFile(corpus.File(t, append([]string{"smart"}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	d.Place = "x"
	dev := d.device()
	var out []string
	for _, f := range dev.Fields {
		out = append(out, f.Key+"="+f.Value.Text())
	}
	return dev.Occupant + " " + strings.Join(out, " ")
}

// One of each kind, in full.
func TestKinds(t *testing.T) {
	f := func(want string, parts ...string) {
		t.Helper()
		if got := one(t, parts...); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", parts[1], got, want)
		}
	}
	f("ZAD2C11G state=ok model=ST6000NM0115-1YZ110 family=Seagate Enterprise Capacity 3.5 HDD firmware=SN04 size_bytes=6001175126016 protocol=ATA form=3.5 inches rotation_rpm=7200 device_name=/dev/bus/6 temperature_celsius=25 power_on_hours=44316 power_cycles=62 reallocated_sectors_count=0 pending_sectors_count=0 uncorrectable_errors=0 reported_uncorrectable_errors=0 crc_errors=0 logged_errors=0 written_bytes_total=14393115270144",
		"influxdata.telegraf", "testcases_device__megaraid__response.json")
	f("6D1107091C9583054511 state=ok model=Sabrent Rocket 4.0 1TB firmware=RKT401.3 size_bytes=1000204886016 protocol=NVMe device_name=/dev/nvme0 critical_warning=0 temperature_celsius=48 power_on_hours=8733 power_cycles=1815 logged_errors=4871 media_errors=0 unsafe_shutdowns_count=39 life_left_percent=96 spare_percent=100 written_bytes_total=39153603584000",
		"influxdata.telegraf", "testcases_device__nvme__response.json")
	f("XYZZZZ state=ok model=SEAGATE ST0000000 vendor=XYZZZZZZ firmware=RSL5 size_bytes=13715978079776 protocol=SCSI form=3.5 inches rotation_rpm=7200 device_name=/dev/sdaa self_test_failed=false temperature_celsius=24 power_on_hours=34222 reallocated_sectors_count=0 uncorrectable_errors=0",
		"influxdata.telegraf", "testcases_device__scsi_extended__response.json")
	f("REDACTED state=ok model=SAMSUNG MZ7LH480HAHQ-00005 family=Samsung based SSDs firmware=REDACTED size_bytes=480103981056 protocol=ATA form=2.5 inches rotation_rpm=0 device_name=/dev/sda temperature_celsius=26 power_on_hours=7753 power_cycles=168 reallocated_sectors_count=0 pending_sectors_count=0 reported_uncorrectable_errors=0 crc_errors=0 logged_errors=0 life_left_percent=99 written_bytes_total=704487844352",
		"prometheus-community.smartctl_exporter", "sat-Samsung_based_SSDs-SAMSUNG_MZ7LH480HAHQ-00005-sda.json")
}

// made is a reply of our own making.
func made(exit int, rest string) string {
	return fmt.Sprintf(`{"smartctl":{"exit_status":%d,"messages":[%s`, exit, rest)
}

func TestVerdicts(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		d, err := Parse([]byte(doc))
		got := d.State
		switch {
		case err != nil:
			got = err.Error()
		case d.Asleep:
			got = "asleep"
		case !d.Supported:
			got = "not supported"
		}
		if got != want {
			t.Errorf("%s\nis %q, want %q", doc, got, want)
		}
	}
	device := `]},"device":{"name":"/dev/sda","type":"sat","protocol":"ATA"}`
	f(made(0, device+`,"smart_status":{"passed":true}}`), StateOK)
	f(made(64, device+`,"smart_status":{"passed":true}}`), StateOK) // old errors in its log
	f(made(4, device+`,"smart_status":{"passed":true}}`), StateOK)  // some command failed
	f(made(16, device+`,"smart_status":{"passed":true}}`), StateFailing)
	f(made(8, device+`,"smart_status":{"passed":false}}`), StateFailed)
	f(made(24, device+`,"smart_status":{"passed":false}}`), StateFailed)
	f(made(0, device+`,"smart_support":{"available":true,"enabled":false}}`), StateUnknown)
	f(made(0, device+`,"smart_support":true,"nvme_smart_health_information_log":{"critical_warning":4}}`), StateFailing)
	// smartctl calls every critical warning a failure, also one about nothing but heat.
	f(made(8, device+`,"smart_status":{"passed":false},"nvme_smart_health_information_log":{"critical_warning":2}}`), StateFailing)
	f(made(8, device+`,"smart_status":{"passed":false},"nvme_smart_health_information_log":{"critical_warning":6}}`), StateFailed)
	f(made(4, device+`,"smart_support":{"available":false}}`), "not supported")
	f(made(4, device+`,"smart_support":false}`), "not supported")
	f(made(4, device+`}`), "not supported")
	f(made(2, `{"string":"Device is in STANDBY mode, exit(2)","severity":"information"}]}}`), "asleep")
	f(made(2, `{"string":"Device is in SLEEP mode, exit(2)"}`+device+`}`), "asleep")
	f(made(2, `{"string":"Smartctl open device: /dev/sdz failed: No such device"}]}}`), "smartctl could not ask it: Smartctl open device: /dev/sdz failed: No such device")
	f(made(1, `]}}`), "smartctl could not ask it: exit status 1 without a reason")
	f(`smartctl 7.3: command not understood`, `the reply is not smartctl's JSON: "smartctl 7.3: command not understood"`)
	f(`{"Controllers":[]}`, `the reply is not smartctl's JSON: "{\"Controllers\":[]}"`)
	f(``, `the reply is not smartctl's JSON: ""`)
}

// round makes a reader whose smartctl answers from replies by its last
// argument.
func round(t *testing.T, replies map[string]string, change func(*Options)) *Reader {
	t.Helper()
	root := t.TempDir()
	tool := filepath.Join(root, "smartctl")
	if err := os.WriteFile(tool, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{Config: DefaultConfig(), Root: root, Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
		key := strings.Join(args, " ")
		if strings.HasPrefix(key, "--scan") {
			key = "scan"
		} else if i := slices.Index(args, "-d"); i >= 0 {
			key = args[len(args)-1] + " " + args[i+1]
		} else {
			key = args[len(args)-1]
		}
		if replies[key] == "" {
			return nil, errors.New("exit status 127")
		}
		return []byte(replies[key]), nil
	}}
	o.Command = []string{tool}
	if change != nil {
		change(&o)
	}
	return NewReader(o)
}

func disk(serial, more string) string {
	return made(0, `]},"device":{"name":"x","protocol":"ATA"},"model_name":"M","serial_number":"`+serial+`","smart_status":{"passed":true}`+more+`}`)
}

func TestRounds(t *testing.T) {
	replies := map[string]string{
		"scan":         `{"smartctl":{"exit_status":0},"devices":[{"name":"/dev/sda","type":"sat"},{"name":"/dev/nvme0","type":"nvme"},{"name":"/dev/bus/0","type":"sat+megaraid,4"},{"name":"-evil","type":""}]}`,
		"/dev/sda sat": disk("S1", ""), "/dev/nvme0 nvme": disk("N1", ""), "/dev/bus/0 sat+megaraid,4": disk("R1", `,"temperature":{"current":30}`), "/dev/sdx": disk("X1", ""),
	}
	r := round(t, replies, func(o *Options) {
		dir := filepath.Join(o.Root, "dev", "disk", "by-path")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, target := range map[string]string{
			"pci-0000:00:1f.2-ata-1": "../../sda", "pci-0000:00:1f.2-ata-1.0": "../../sda", "pci-0000:00:1f.2-ata-1-part1": "../../sda1", "pci-0000:01:00.0-nvme-1": "../../nvme0n1",
		} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		o.Devices = []Device{{Name: "/dev/sdx"}}
	})
	f := func(wantErr, want string, raw bool) {
		t.Helper()
		recs, err := r.Collect(t.Context())
		if fmt.Sprint(err) != wantErr {
			t.Fatalf("error %v, want %s", err, wantErr)
		}
		var got []string
		for _, s := range recs[0].Snapshot.Sections {
			got = append(got, "["+s.Scope+"]")
		}
		for _, d := range recs[0].Snapshot.Devices {
			got = append(got, d.Place+" "+d.Occupant+" "+d.Field("state").Str())
		}
		if strings.Join(got, "; ") != want || recs[0].Attr(record.AttrRaw).IsNull() == raw {
			t.Errorf("%s, raw %v\nwant %s", strings.Join(got, "; "), !recs[0].Attr(record.AttrRaw).IsNull(), want)
		}
	}
	f("<nil>", "[]; bus/0/megaraid,4 R1 ok; pci-0000:00:1f.2-ata-1 S1 ok; pci-0000:01:00.0-nvme-1 N1 ok; sdx X1 ok", true)
	replies["/dev/bus/0 sat+megaraid,4"] = disk("R1", `,"temperature":{"current":35}`)
	f("<nil>", "[]; bus/0/megaraid,4 R1 ok; pci-0000:00:1f.2-ata-1 S1 ok; pci-0000:01:00.0-nvme-1 N1 ok; sdx X1 ok", false) // a temperature is worth no evidence
	replies["/dev/sda sat"] = made(2, `{"string":"Device is in STANDBY mode, exit(2)"}]}}`)
	replies["/dev/sdx"] = made(4, `]},"device":{"name":"/dev/sdx"},"smart_support":{"available":false}}`)
	f("<nil>", "[bus/0/megaraid,4]; [pci-0000:01:00.0-nvme-1]; bus/0/megaraid,4 R1 ok; pci-0000:01:00.0-nvme-1 N1 ok", false) // what sleeps is not gone
	replies["/dev/sda sat"] = disk("S1", "")
	replies["/dev/nvme0 nvme"] = "oops"
	f(`disk /dev/nvme0 nvme: the reply is not smartctl's JSON: "oops"`, "[bus/0/megaraid,4]; [pci-0000:00:1f.2-ata-1]; bus/0/megaraid,4 R1 ok; pci-0000:00:1f.2-ata-1 S1 ok", false)
	replies["scan"] = ""
	replies["/dev/sdx"] = disk("X1", `,"ata_smart_attributes":{"table":[{"id":197,"name":"Current_Pending_Sector","raw":{"value":8,"string":"8"}}]}`)
	f("look for disks: exit status 127", "[sdx]; sdx X1 ok", true)
}

// Packed raw values: the number that the drive database makes of them, else the
// lower half, which is what the disk counts in.
func TestPackedValues(t *testing.T) {
	f := func(text string, value, want int64) {
		t.Helper()
		a := attribute{}
		a.Raw.String, a.Raw.Value = text, value
		if got := a.raw(); got == nil || *got != want {
			t.Errorf("%q %d: %v, want %d", text, value, got, want)
		}
	}
	f("24 (Min/Max 19/38)", 163209347096, 24)
	f("0", 0, 0)
	f("8 (Average 12)", 8, 8)
	f("", 38<<32|24, 24)
	f("-", 7, 7)
	a := attribute{}
	if a.Raw.Value = -1; a.raw() != nil {
		t.Error("a negative count is none")
	}
}

// What the exit status and NVMe's warning say, in words.
func TestText(t *testing.T) {
	f := func(exit int, rest, want string) {
		t.Helper()
		d, err := Parse([]byte(made(exit, `]},"device":{"name":"/dev/sda","type":"sat"},"smart_status":{"passed":true}`+rest+`}`)))
		if err != nil || d.Text != want {
			t.Errorf("%d: %q, %v, want %q", exit, d.Text, err, want)
		}
	}
	f(0, "", "")
	f(4, "", "")
	f(64, "", "its error log is not empty")
	f(8, "", "the disk says that it fails")
	f(16|32|128, "", "an attribute is past its threshold; an attribute was past its threshold; self-tests failed")
	f(0, `,"nvme_smart_health_information_log":{"critical_warning":9}`, "spare blocks are nearly used up; read-only")
	f(0, `,"nvme_smart_health_information_log":{"critical_warning":-1}`, strings.Join(nvmeWarnings, "; "))
}

// Disks that sleep are told, not lost and no failure; that there are none is
// told once, for the last one may have been taken out.
func TestAsleepAndNone(t *testing.T) {
	sleeps := made(2, `{"string":"Device is in STANDBY mode, exit(2)","severity":"information"}]}}`)
	replies := map[string]string{
		"scan":         `{"smartctl":{"exit_status":0},"devices":[{"name":"/dev/sda","type":"scsi"},{"name":"/dev/sdb","type":"sat"}]}`,
		"/dev/sda sat": disk("S1", ""), "/dev/sda scsi": "asked as scsi", "/dev/sdb sat": sleeps,
	}
	r := round(t, replies, func(o *Options) { o.Devices = []Device{{Name: "/dev/sda", Type: "sat"}} }) // the scan takes it for SCSI
	f := func(want string) {
		t.Helper()
		recs, err := r.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := "nothing"
		if len(recs) > 0 {
			got = fmt.Sprintf("%s %d %s", recs[0].Body, len(recs[0].Snapshot.Sections), recs[0].Attr(AttrAsleep).Text())
			if _, _, err := record.DecodeRecords(record.AppendRecords(nil, recs)); err != nil {
				t.Error(err)
			}
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(`SMART: 1 disks, 1 asleep 1 ["sdb"]`)
	replies["/dev/sda sat"] = sleeps
	f(`SMART: 0 disks, 2 asleep 0 ["sda","sdb"]`)
	volume := made(4, `]},"device":{"name":"/dev/sda"},"smart_support":{"available":false}}`)
	replies["/dev/sda sat"], replies["/dev/sdb sat"] = volume, volume
	f("SMART: 0 disks 1 ")
	f("nothing")
	replies["/dev/sdb sat"] = disk("S2", "")
	f("SMART: 1 disks 1 ")
}

func TestNoSmartctl(t *testing.T) {
	r := NewReader(Options{Config: DefaultConfig()})
	if len(usualPaths()) == 0 {
		t.Fatal("nowhere to look")
	}
	for _, p := range usualPaths() {
		if _, err := os.Stat(p); err == nil {
			t.Skip("smartctl is installed here")
		}
	}
	if recs, err := r.Collect(t.Context()); recs != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, %v", recs, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f(func(*Config) {}, "<nil>")
	f(func(c *Config) { c.Command = []string{"smartctl"} }, `smart command ["smartctl"]: write the absolute path of smartctl`)
	f(func(c *Config) { c.Devices = []Device{{Name: "/dev/sda"}, {Name: "--help"}} }, "smart devices: entry 2: write a name such as /dev/bus/0, and a type such as megaraid,4 or nothing")
	f(func(c *Config) { c.Deadline = time.Hour }, "smart: deadline 1h0m0s: write more than 0s and at most the period 10m0s")
}

func FuzzParse(f *testing.F) {
	corpus.Seeds(f, "smart/*/*.json")
	f.Add([]byte(disk("S1", `,"smart_support":true,"ata_smart_attributes":{"table":[{"id":5,"raw":{"value":1,"string":"1 (x)"}}]},"scsi_error_counter_log":{"read":{"total_uncorrected_errors":1}}`)))
	f.Add([]byte(`{"smartctl":{"exit_status":2},"devices":[{"name":"/dev/sda"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		list, _ := ParseScan(doc)
		for _, d := range list {
			if strings.HasPrefix(d.Name, "-") || strings.HasPrefix(d.Type, "-") {
				t.Fatalf("%q would be an option", d)
			}
		}
		d, err := Parse(doc)
		if err != nil || d.Asleep {
			return
		}
		d.Place = "x"
		s := &record.Snapshot{Devices: []record.Device{d.device()}}
		if s.Devices[0].Field(record.FieldState).Str() == "" {
			t.Fatal("no state")
		}
		if _, _, err := record.DecodeRecords(record.AppendRecords(nil, []record.Record{{Name: record.NameSnapshot, Snapshot: s}})); err != nil {
			t.Fatal(err)
		}
	})
}
