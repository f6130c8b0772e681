package mdraid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(corpus.File(t, append([]string{"mdraid"}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// said is an array in one line: what a person would say of it.
func said(a *Array) string {
	count := map[string]int{}
	for i := range a.Members {
		count[a.Members[i].State()]++
	}
	return fmt.Sprintf("%s %s %s %v %s %.1f%%", a.Name, a.Level, a.State(), count, a.Operation+a.Waiting, a.Percent)
}

// Every capture of /proc/mdstat, with what it shows.
func TestStatOfTheCorpus(t *testing.T) {
	for _, c := range []struct {
		file     []string
		arrays   int
		problems int
		some     []string
	}{
		{[]string{"prometheus.procfs", "mdstat"}, 18, 0, []string{
			"md3 raid6 clean map[in_sync:8 spare:2]  0.0%",
			"md4 raid1 inactive map[faulty:1 spare:1]  0.0%",
			"md6 raid1 degraded map[faulty:1 in_sync:1 spare:1] recovery 8.5%",
			"md8 raid1 clean map[in_sync:2 spare:2] resync 8.5%",
			"md201 raid1 clean map[in_sync:2] check 5.7%",
			"md7 raid6 degraded map[faulty:1 in_sync:3]  0.0%",
			"md9 raid1 clean map[faulty:2 in_sync:4 spare:1] resyncdelayed 0.0%",
			"md10 raid0 clean map[in_sync:2]  0.0%",
			"md11 raid1 clean map[faulty:1 in_sync:2 spare:2] resyncpending 0.0%",
			"md126 raid0 clean map[in_sync:2]  0.0%",
			"md219  container map[spare:3]  0.0%", // external:imsm: it never is active
		}},
		{[]string{"prometheus.node_exporter", "mdstat"}, 17, 0, []string{"md127 raid1 clean map[in_sync:2]  0.0%"}},
		{[]string{"influxdata.telegraf", "mdStatSyncStart_02.txt"}, 3, 0, []string{"md2 raid10 clean map[in_sync:12] check 1.5%"}},
		{[]string{"influxdata.telegraf", "mdStatFileFull_01.txt"}, 3, 0, []string{"md2 raid10 clean map[in_sync:12] check 94.3%"}},
		{[]string{"influxdata.telegraf", "mdStatFileFailedDisk_03.txt"}, 1, 0, []string{"md0 raid5 degraded map[in_sync:3]  0.0%"}},
		{[]string{"influxdata.telegraf", "mdStatFileInvalid_04.txt"}, 1, 1, []string{"md0 raid1 clean map[in_sync:2]  0.0%"}},
	} {
		t.Run(strings.Join(c.file, "/"), func(t *testing.T) {
			arrays, problems := ParseStat(read(t, c.file...))
			if len(arrays) != c.arrays || len(problems) != c.problems {
				t.Errorf("%d arrays, %d problems %q", len(arrays), len(problems), problems)
			}
			var all []string
			for i := range arrays {
				all = append(all, said(&arrays[i]))
			}
			for _, want := range c.some {
				if !strings.Contains(strings.Join(all, "\n")+"\n", want+"\n") {
					t.Errorf("no %q among\n%s", want, strings.Join(all, "\n"))
				}
			}
		})
	}
}

func TestDetailOfTheCorpus(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		d, err := ParseDetail(read(t, "openstack.ironic-python-agent", file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var members []string
		for _, m := range d.Members {
			members = append(members, fmt.Sprintf("%s %d %s", m.Device, m.Slot, m.Detail))
		}
		if got := fmt.Sprintf("%s|%s|%s|%d|%s", d.Level, d.State, d.Name, d.Wanted, strings.Join(members, ",")); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
	f("mdadm_detail_output.txt", "raid1|clean|abc.xyz.com:0|2|vde1 0 active sync,vdf1 1 active sync")
	f("mdadm_detail_output_volume_name.txt", "raid1|clean|abc.xyz.com:this_name|2|vde1 0 active sync,vdf1 1 active sync")
	f("mdadm_detail_output_volume_name_invalid.txt", "raid1|clean||2|vde1 0 active sync,vdf1 1 active sync")
	f("mdadm_detail_output_whole_device.txt", "raid1|clean|abc.xyz.com:0|2|vde 0 active sync,vdf 1 active sync")
	f("mdadm_detail_output_nvme.txt", "raid1|clean|rescue:0|2|nvme0n1p1 0 active sync,nvme1n1p1 1 active sync")
	f("mdadm_detail_output_broken_raid0.txt", "raid0|inactive|prj6ogxgyzd:1|0|sda2 -1 ")
	f("mdadm_detail_poisoned.txt", "raid1|clean|box:/dev/md0|2|vda1 0 active sync,vdb1 1 active sync") // unexpected words between the keys
	if _, err := ParseDetail([]byte("mdadm: cannot open /dev/md9: No such file or directory\n")); !errors.Is(err, errNoDetail) {
		t.Error(err)
	}
}

// reader looks at a made-up /proc/mdstat; mdadm answers like reply.
func reader(t *testing.T, reply func(device string) (string, error)) (*Reader, func(mdstat string)) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o700); err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(root, "mdadm")
	if err := os.WriteFile(tool, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{Config: DefaultConfig(), Root: root, Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
		out, err := reply(args[len(args)-1])
		return []byte(out), err
	}}
	o.Mdadm = tool
	return NewReader(o), func(text string) {
		if err := os.WriteFile(filepath.Join(root, "proc", "mdstat"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLifeOfAnArray(t *testing.T) {
	r, set := reader(t, func(device string) (string, error) {
		if device == "/dev/md1" {
			return "", errors.New("exit status 4")
		}
		return "/dev/md0:\n        Raid Level : raid1\n             State : clean, degraded\n              UUID : aa:bb\n    Number   Major   Minor   RaidDevice State\n" +
			"       2       8        1        0      spare rebuilding   /dev/sdc1\n", errors.New("exit status 1")
	})
	collect := func(want string) []record.Record {
		t.Helper()
		recs, err := r.Collect(t.Context())
		if got := fmt.Sprint(err); got != want {
			t.Fatalf("error %q, want %q", got, want)
		}
		return recs
	}
	if recs := collect("<nil>"); len(recs) != 0 {
		t.Errorf("without the driver %v", recs)
	}
	set("Personalities : [raid1]\nunused devices: <none>\n")
	recs := collect("<nil>")
	if len(recs) != 1 || len(recs[0].Snapshot.Devices) != 0 || len(recs[0].Snapshot.Sections) != 2 {
		t.Errorf("no arrays: %+v", recs)
	}
	if recs := collect("<nil>"); len(recs) != 0 {
		t.Errorf("no arrays, said twice: %v", recs)
	}
	set("md0 : active raid1 sdc1[2] sda1[0]\n      100 blocks super 1.2 [2/1] [U_]\n      [=>...]  recovery = 12.6% (1/8) finish=2.5min speed=1K/sec\n")
	recs = collect("<nil>")
	if got := strings.Join(settled(recs[0].Snapshot), "; "); got != "md_array ; md_member ; "+
		"md_array md0 aa:bb state=degraded level=raid1 metadata=1.2 size_bytes=102400 members_wanted=2 members_working=1 members_faulty=0 bitmap=false operation=recovery; "+
		"md_member md0/sda1  state=in_sync slot=0; md_member md0/sdc1  state=rebuilding slot=0" {
		t.Error(got)
	}
	if recs[0].Attr(record.AttrRaw).Str() == "" || recs[0].Body != "software RAID: 1 arrays: md0 degraded" {
		t.Errorf("%+v", recs[0])
	}
	if p, _ := recs[0].Snapshot.Devices[0].Field("time_left_seconds").Int(); p != 150 {
		t.Errorf("%d seconds left", p)
	}
	set("md0 : active raid1 sdc1[2] sda1[0]\n      100 blocks super 1.2 [2/1] [U_]\n      [=>...]  recovery = 50.0% (4/8) finish=1.0min speed=1K/sec\n")
	if recs = collect("<nil>"); !recs[0].Attr(record.AttrRaw).IsNull() {
		t.Error("progress alone is worth no evidence")
	}
	set("md1 : active raid1 sdc1[2](F) sda1[0]\n      100 blocks [2/1] [U_]\nmd2 oops\n")
	recs = collect("array md1: exit status 4\n" + errNoDetail.Error() + "\na line of /proc/mdstat that is no array: \"md2 oops\"")
	if s := recs[0].Snapshot; len(s.Sections) != 2 || s.Sections[0].Scope != "md1" || s.Devices[0].Place != "md1" {
		t.Errorf("what could not be read is not gone: %+v", s)
	}
}

// What holds an array's metadata is no array that broke down; the array in it may be one.
func TestContainers(t *testing.T) {
	arrays, problems := ParseStat([]byte("md126 : inactive sda[1] sdb[0]\n      100 blocks super external:/md127/0\n" +
		"md127 : inactive sdb[1](S) sda[0](S)\n      5104 blocks super external:imsm\n" +
		"md5 : inactive sdc[1](S)\n      5104 blocks super external:ddf\n" +
		"md6 : inactive sdd[0](S)\n      5104 blocks super 1.2\n"))
	var got []string
	for i := range arrays {
		got = append(got, arrays[i].Name+" "+arrays[i].State())
	}
	if want := "md126 inactive, md127 container, md5 container, md6 inactive"; strings.Join(got, ", ") != want || len(problems) > 0 {
		t.Errorf("%v %v, want %s", got, problems, want)
	}
	if body := summary(arrays[:2]); body != "software RAID: 2 arrays: md126 inactive" {
		t.Error(body)
	}
}

func TestWakes(t *testing.T) {
	line := func(ident, body string) *record.Record {
		return &record.Record{Name: record.NameJournal, Body: body, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(ident)}}}
	}
	r := NewReader(Options{})
	if !r.Wakes(line("kernel", "md/raid1:md0: Disk failure on sdb1, disabling device.")) || !r.Wakes(line("kernel", "md: md0: recovery done.")) {
		t.Error("the kernel's words about an array wake it")
	}
	if r.Wakes(line("kernel", "usb 1-1: new device")) || r.Wakes(line("cron", "md: not the kernel")) {
		t.Error("other lines do not")
	}
}

func TestConfigIsChecked(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Mdadm = "mdadm"
	if err := c.Validate(); err == nil || err.Error() != `mdraid mdadm "mdadm": write the absolute path of mdadm, or nothing` {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	corpus.Seeds(f, "mdraid/*/md*")
	f.Add([]byte("md0 : active raid1 sdc1[2](F) sda1[0]\n      100 blocks super 1.2 [2/1] [U_]\n      resync=DELAYED\n"))
	f.Add([]byte("/dev/md0:\n State : clean\n Raid Devices : 2\n  0 8 1 0 active sync /dev/sda1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		arrays, problems := ParseStat(text)
		d, err := ParseDetail(text)
		for i := range arrays {
			if err == nil {
				arrays[i].add(d)
			}
		}
		s := snapshot(arrays, len(problems) == 0)
		for _, dev := range s.Devices {
			if dev.Place == "" || dev.Field(record.FieldState).Str() == "" {
				t.Fatalf("a device without place or state: %+v", dev)
			}
		}
		b := record.AppendRecords(nil, []record.Record{{Name: record.NameSnapshot, Snapshot: s}})
		if _, _, err := record.DecodeRecords(b); err != nil {
			t.Fatal(err)
		}
	})
}
