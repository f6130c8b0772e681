package raid

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

func capture(t testing.TB, name ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(corpus.File(t, append([]string{"raid"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func scality(t testing.TB, name string) []byte {
	t.Helper()
	return capture(t, "scality.raidmgmt", name)
}

func find(t testing.TB, s *record.Snapshot, typ, place string) record.Device {
	t.Helper()
	for _, d := range s.Devices {
		if d.Type == typ && d.Place == place {
			return d
		}
	}
	t.Fatalf("no %s at %s", typ, place)
	return record.Device{}
}

func hasSection(s *record.Snapshot, typ, scope string) bool {
	for _, sec := range s.Sections {
		if sec == (record.Section{Type: typ, Scope: scope}) {
			return true
		}
	}
	return false
}

// count is what a capture holds: controllers, enclosures, physical drives,
// those of them with a serial, virtual drives, batteries, problems.
type count struct{ ctl, enc, pd, sn, vd, bat, problems int }

func counted(s *record.Snapshot, problems []Problem) count {
	c := count{problems: len(problems)}
	for _, d := range s.Devices {
		switch d.Type {
		case record.DeviceController:
			c.ctl++
		case record.DeviceEnclosure:
			c.enc++
		case record.DevicePhysicalDrive:
			c.pd++
			if d.Occupant != "" {
				c.sn++
			}
		case record.DeviceVirtualDrive:
			c.vd++
		case record.DeviceBattery:
			c.bat++
		}
	}
	return c
}

// The captures that hold devices or problems, counted by hand against the
// documents; every other one is an answer to a command that changes something
// and holds none.
var captures = map[string]count{
	"AlexBomber12.megaraid-dashboard/bbu_show_all.json":                                                   {problems: 1},
	"AlexBomber12.megaraid-dashboard/c0_fall_show_all_absent.json":                                        {problems: 1},
	"AlexBomber12.megaraid-dashboard/c0_show_all.json":                                                    {ctl: 1, enc: 1, pd: 8, vd: 1, bat: 1},
	"AlexBomber12.megaraid-dashboard/controller_show_all_no_roc.json":                                     {ctl: 1, enc: 1, pd: 8, vd: 1, bat: 1},
	"AlexBomber12.megaraid-dashboard/controller_show_all_roc_na.json":                                     {ctl: 1, enc: 1, pd: 8, vd: 1, bat: 1},
	"AlexBomber12.megaraid-dashboard/controller_show_all_with_roc.json":                                   {ctl: 1, enc: 1, pd: 8, vd: 1, bat: 1},
	"AlexBomber12.megaraid-dashboard/cv_show_all.json":                                                    {bat: 1},
	"AlexBomber12.megaraid-dashboard/eall_sall_show_all.json":                                             {pd: 8, sn: 8},
	"AlexBomber12.megaraid-dashboard/vall_show_all.json":                                                  {pd: 8, vd: 1},
	"Naudit.pystorcli2/controllerSet__test01____c0_show_J.json":                                           {ctl: 1, enc: 2, pd: 12, vd: 1},
	"Naudit.pystorcli2/controllerSet__test01___show_J.json":                                               {ctl: 2},
	"Naudit.pystorcli2/controllerSet__test02___show_J.json":                                               {ctl: 1},
	"Naudit.pystorcli2/controllerSet__test03____c0_show_J.json":                                           {ctl: 1, enc: 2, pd: 12, vd: 1, problems: 1},
	"Naudit.pystorcli2/controllerSet__test03___show_J.json":                                               {ctl: 1, problems: 1},
	"Naudit.pystorcli2/namedSet__create_vd_raid0_00____c0_v1_show_J.json":                                 {vd: 1},
	"Naudit.pystorcli2/namedSet__create_vd_raid0_00___show_J.json":                                        {ctl: 1},
	"Naudit.pystorcli2/namedSet__create_vd_raid1_00____c0_v1_show_J.json":                                 {vd: 1},
	"Naudit.pystorcli2/namedSet__error_codes_01____c0_e252_s7_set_good_J.json":                            {problems: 1},
	"Naudit.pystorcli2/namedSet__set_state_offline_00____c0_e35_s12_show_J.json":                          {pd: 1},
	"Naudit.pystorcli2/namedSet__set_state_offline_00____c0_e35_sall_show_J.json":                         {pd: 1},
	"Naudit.pystorcli2/namedSet__set_state_offline_00____c0_e35_show_J.json":                              {enc: 1},
	"Naudit.pystorcli2/namedSet__set_state_offline_00____c0_eall_show_J.json":                             {enc: 3},
	"Naudit.pystorcli2/namedSet__show_foreign_config_01____c0__fall_show_J.json":                          {problems: 1},
	"jcpunk.puppet-storcli/perccli_call_show_fail.json":                                                   {problems: 1},
	"jcpunk.puppet-storcli/storcli_call_show.json":                                                        {ctl: 3, pd: 39, vd: 3, bat: 2},
	"jcpunk.puppet-storcli/storcli_call_show_cc.json":                                                     {problems: 1},
	"jcpunk.puppet-storcli/storcli_call_show_patrolread.json":                                             {problems: 1},
	"jcpunk.puppet-storcli/storcli_call_show_vdisk0.json":                                                 {pd: 4, vd: 1},
	"jcpunk.puppet-storcli/storcli_call_show_vdisk234.json":                                               {pd: 4, vd: 1},
	"prometheus-community.node-exporter-textfile-collector-scripts/storcli_-cALL-eALL-sALL_show_all.json": {pd: 4, sn: 4},
	"prometheus-community.node-exporter-textfile-collector-scripts/storcli_-cALL_show_all.json":           {ctl: 1, enc: 1, pd: 4, vd: 1, bat: 1},
	"scality.raidmgmt/controllergetter__testdata__storcli2__all.json":                                     {ctl: 1},
	"scality.raidmgmt/controllergetter__testdata__storcli2__c0.json":                                      {ctl: 1, enc: 2, pd: 24, vd: 24, bat: 1},
	"scality.raidmgmt/controllergetter__testdata__storcli2__c0_UGood.json":                                {ctl: 1, enc: 2, pd: 24, vd: 23, bat: 1},
	"scality.raidmgmt/controllergetter__testdata__storcli2__c5_invalid.json":                              {problems: 1},
	"scality.raidmgmt/controllers__all.json":                                                              {ctl: 1},
	"scality.raidmgmt/controllers__c0.json":                                                               {ctl: 1, enc: 1, pd: 12, vd: 12, bat: 1},
	"scality.raidmgmt/controllers__c0_s12_UGood.json":                                                     {ctl: 1, enc: 1, pd: 12, vd: 11, bat: 1},
	"scality.raidmgmt/controllers__c5_invalid.json":                                                       {problems: 1},
	"scality.raidmgmt/jbodsetter__testdata__storcli2__jbod__enable__fail.json":                            {problems: 1},
	"scality.raidmgmt/logicalvolumegetter__testdata__storcli2__show__all.json":                            {pd: 24, vd: 24},
	"scality.raidmgmt/logicalvolumegetter__testdata__storcli2__show__v1.json":                             {pd: 1, vd: 1},
	"scality.raidmgmt/logicalvolumegetter__testdata__storcli2__show__v999_invalid.json":                   {problems: 1},
	"scality.raidmgmt/logicalvolumes__create__fail.json":                                                  {problems: 1},
	"scality.raidmgmt/logicalvolumes__delete__fail_invalid.json":                                          {problems: 1},
	"scality.raidmgmt/logicalvolumes__delete__fail_vdNotExist.json":                                       {problems: 1},
	"scality.raidmgmt/logicalvolumes__migrate__fail.json":                                                 {problems: 1},
	"scality.raidmgmt/logicalvolumes__show__all.json":                                                     {pd: 12, vd: 12},
	"scality.raidmgmt/logicalvolumes__show__all_NOv228.json":                                              {pd: 11, vd: 11},
	"scality.raidmgmt/logicalvolumes__show__v999_invalid.json":                                            {problems: 1},
	"scality.raidmgmt/physicaldrivegetter__testdata__storcli2__show__all.json":                            {pd: 24, sn: 24},
	"scality.raidmgmt/physicaldrivegetter__testdata__storcli2__show__e306s99_invalid.json":                {problems: 1},
	"scality.raidmgmt/physicaldrivegetter__testdata__storcli2__show__e320s11.json":                        {pd: 1, sn: 1},
	"scality.raidmgmt/physicaldrivegetter__testdata__storcli2__show__e320s11_UGood.json":                  {pd: 1, sn: 1},
	"scality.raidmgmt/physicaldrives__jbod__disable__fail.json":                                           {problems: 1},
	"scality.raidmgmt/physicaldrives__jbod__enable__fail.json":                                            {problems: 1},
	"scality.raidmgmt/physicaldrives__show__all.json":                                                     {pd: 12, sn: 12},
	"scality.raidmgmt/physicaldrives__show__e251s12_UGood.json":                                           {pd: 1, sn: 1},
	"scality.raidmgmt/physicaldrives__show__e251s99_invalid.json":                                         {problems: 1},
	"steveh.telegraf-exec-storcli/list.json":                                                              {ctl: 1},
	"steveh.telegraf-exec-storcli/show.json":                                                              {ctl: 1, pd: 26},
	"steveh.telegraf-exec-storcli/showall.json":                                                           {ctl: 1, enc: 2, pd: 26, sn: 26},
	"steveh.telegraf-exec-storcli/showtemperature.json":                                                   {ctl: 1},
}

// The captures that are text although JSON was asked for, with the reason that
// is found in them.
var textCaptures = map[string]string{
	"Naudit.pystorcli2/namedSet__show_events_00____c0_show_events_file=_root_raid_events.log_J.json": "Success",
	"scality.raidmgmt/jbodsetter__testdata__storcli2__jbod__disable__fail.json":                      "Failure, syntax error, unexpected TOKEN_JBOD",
	"scality.raidmgmt/lvcachesetter__testdata__storcli2__cacheoptions__combined_syntax_error.json":   "Failure, syntax error, unexpected TOKEN_WRITE_CACHE",
}

func TestEveryCapture(t *testing.T) {
	files, _ := filepath.Glob(corpus.File(t, "raid", "*", "*.json"))
	if len(files) != 109 {
		t.Fatalf("%d captures, want 109", len(files))
	}
	total := count{}
	for i := 1; i <= 12; i++ { // one document for each drive and each volume
		if i < 12 {
			captures[fmt.Sprintf("scality.raidmgmt/physicaldrives__show__e251s%d.json", i)] = count{pd: 1, sn: 1}
		}
		captures[fmt.Sprintf("scality.raidmgmt/logicalvolumes__show__v%d.json", 227+i)] = count{pd: 1, vd: 1}
	}
	captures["scality.raidmgmt/physicaldrives__show__e251s12.json"] = count{pd: 1, sn: 1}
	for _, f := range files {
		name := filepath.Base(filepath.Dir(f)) + "/" + filepath.Base(f)
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, problems, err := Parse(doc)
		if reason, isText := textCaptures[name]; isText {
			if !errors.Is(err, ErrNotJSON) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: error %v, want %v with %q", name, err, ErrNotJSON, reason)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := counted(s, problems)
		if got != captures[name] {
			t.Errorf("%s: %+v, want %+v", name, got, captures[name])
		}
		total.ctl, total.enc, total.pd, total.sn, total.vd, total.bat, total.problems = total.ctl+got.ctl, total.enc+got.enc, total.pd+got.pd, total.sn+got.sn, total.vd+got.vd, total.bat+got.bat, total.problems+got.problems
		for _, d := range s.Devices {
			if d.Place == "" || !strings.HasPrefix(d.Place, "c") {
				t.Errorf("%s: %s at place %q", name, d.Type, d.Place)
			}
		}
	}
	t.Logf("%d captures: %+v", len(files), total)
}

// The drive in slot 12 leaves its volume and becomes unconfigured good: two
// rounds of the questions that the source asks.
func TestSequenceUnconfigured(t *testing.T) {
	before, problems, err := Parse(scality(t, "controllers__c0.json"), scality(t, "physicaldrives__show__all.json"), scality(t, "logicalvolumes__show__all.json"))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	after, problems, err := Parse(scality(t, "controllers__c0_s12_UGood.json"), scality(t, "physicaldrives__show__all.json"), scality(t, "physicaldrives__show__e251s12_UGood.json"), scality(t, "logicalvolumes__show__all_NOv228.json"))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if got := counted(before, nil); got != (count{ctl: 1, enc: 1, pd: 12, sn: 12, vd: 12, bat: 1}) {
		t.Errorf("before: %+v", got)
	}
	if got := counted(after, nil); got != (count{ctl: 1, enc: 1, pd: 12, sn: 12, vd: 11, bat: 1}) {
		t.Errorf("after: %+v", got)
	}
	const place, serial = "c0/e251/s12", "ZVT1ZB580000C2372XE4"
	for _, want := range []struct {
		s     *record.Snapshot
		state string
	}{{before, "Onln"}, {after, "UGood"}} {
		d := find(t, want.s, record.DevicePhysicalDrive, place)
		if d.Occupant != serial || d.Field(record.FieldState).Str() != want.state {
			t.Errorf("slot 12: %s %s, want %s %s", d.Occupant, d.Field(record.FieldState).Text(), serial, want.state)
		}
		for _, typ := range []string{record.DeviceController, record.DeviceEnclosure, record.DevicePhysicalDrive, record.DeviceVirtualDrive, record.DeviceBattery} {
			if !hasSection(want.s, typ, "c0") {
				t.Errorf("section %s c0 is missing: a part that is taken out would not be seen", typ)
			}
		}
		if len(want.s.Sections) != 5 {
			t.Errorf("%d sections, want 5: those of single drives lie in that of the controller", len(want.s.Sections))
		}
	}
	if vd := find(t, before, record.DeviceVirtualDrive, "c0/v228"); vd.Occupant != "600062b212da5d402bd3b493e1699377" || vd.Field("os_name").Str() != "/dev/sda" {
		t.Errorf("volume 228: %+v", vd)
	}
}

func TestFields(t *testing.T) {
	s, _, err := Parse(scality(t, "controllers__c0.json"), scality(t, "physicaldrives__show__all.json"), capture(t, "AlexBomber12.megaraid-dashboard", "cv_show_all.json"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(typ, place, occupant string, want map[string]string) {
		t.Helper()
		d := find(t, s, typ, place)
		if d.Occupant != occupant {
			t.Errorf("%s %s: occupant %q, want %q", typ, place, d.Occupant, occupant)
		}
		for k, v := range want {
			if got := d.Field(k).Text(); got != v {
				t.Errorf("%s %s: %s is %q, want %q", typ, place, k, got, v)
			}
		}
	}
	f(record.DeviceController, "c0", "SKC5120859", map[string]string{
		"state": "Optimal", "model": "MegaRAID 9560-8i 4GB", "firmware": "52.24.0-4763", "driver_version": "07.727.03.00-rc1", "temperature_celsius": "49",
		"pci_address": "00:c1:00:00", "personality": "RAID-Mode", "preserved_cache": "false", "memory_correctable_errors": "0",
	})
	f(record.DevicePhysicalDrive, "c0/e251/s1", "ZVT1XXYZ0000C2401YTC", map[string]string{
		"state": "Onln", "model": "ST18000NM000D", "vendor": "SEAGATE", "firmware": "E003", "interface": "SAS", "media": "HDD", "drive_group": "0", "device_id": "10",
		"media_errors": "0", "other_errors": "0", "predictive_failures": "0", "smart_alert": "false", "temperature_celsius": "32", "size_bytes": "17999005346693", "wwn": "5000C500D99B25B0",
	})
	f(record.DeviceVirtualDrive, "c0/v239", "", map[string]string{"state": "Optl", "level": "RAID0", "access": "RW", "drive_group": "0", "consistent": "true"})
	f(record.DeviceEnclosure, "c0/e251", "", map[string]string{"state": "OK", "slots": "12", "model": "2U12SAS35EOB"})
	f(record.DeviceBattery, "c0/cv", "11751", map[string]string{"state": "Optimal", "temperature_celsius": "40", "replacement_required": "false"})
}

func TestVersion8(t *testing.T) {
	s, problems, err := Parse(scality(t, "controllergetter__testdata__storcli2__c0_UGood.json"), scality(t, "physicaldrivegetter__testdata__storcli2__show__e320s11_UGood.json"), scality(t, "logicalvolumegetter__testdata__storcli2__show__all.json"))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	d := find(t, s, record.DevicePhysicalDrive, "c0/e320/s11")
	if d.Occupant != "WP00MNP00000E2424KFH" || d.Field("state").Str() != "UConf/Good" || d.Field("media_errors").Text() != "0" || d.Field("temperature_celsius").Text() != "41" || d.Field("drive_group").Str() != "none" {
		t.Errorf("drive: %+v", d)
	}
	c := find(t, s, record.DeviceController, "c0")
	if c.Occupant != "SPE4912106" || c.Field("firmware").Str() != "8.12.1.0-00000-00003" || c.Field("personality").Str() != "RAID" {
		t.Errorf("controller: %+v", c)
	}
	if b := find(t, s, record.DeviceBattery, "c0/ep"); b.Field("state").Str() != "Optimal" || b.Field("model").Str() != "FBU345" || b.Field("temperature_celsius").Text() != "38" {
		t.Errorf("energy pack: %+v", b)
	}
}

func TestNoEnclosureAndThreeControllers(t *testing.T) {
	s, _, err := Parse(capture(t, "jcpunk.puppet-storcli", "storcli_call_show.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"c2/s0", "c2/s1", "c2/s2", "c0/e0/s0", "c1/e0/s0"} {
		find(t, s, record.DevicePhysicalDrive, place)
	}
	if !hasSection(s, record.DeviceVirtualDrive, "c2") {
		t.Error("controller 2 lists its drives and no volumes: it has none, and that was observed")
	}
}

// Constructed from documentation: no licensed capture of a mixed reply exists.
func TestOneBadControllerHidesNone(t *testing.T) {
	s, problems, err := Parse([]byte(`{"Controllers":[
		{"Command Status":{"Controller":0,"Status":"Failure","Description":"Controller 0 is not responding"}},
		{"Command Status":{"Controller":"1","Status":"Success"},"Response Data":{"Basics":{"Model":"M","Serial Number":"A1"},"Physical Drives":1,
			"PD LIST":[{"EID:Slt":"252:3","State":"Rbld","DG":"F","Size":"446.625 GiB","Media Error Count":"N/A"}]}},
		{"Command Status":{"Controller":2,"Status":"Success"},"Response Data":"garbage"},
		17]}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Problem{{"c0", "Controller 0 is not responding"}}; !reflect.DeepEqual(problems, want) {
		t.Errorf("problems %v, want %v", problems, want)
	}
	d := find(t, s, record.DevicePhysicalDrive, "c1/e252/s3")
	if d.Field("state").Str() != "Rbld" || d.Field("drive_group").Str() != "foreign" || d.Field("size_bytes").Text() != "479559942144" {
		t.Errorf("drive: %+v", d)
	}
	if hasSection(s, record.DevicePhysicalDrive, "c0") || hasSection(s, record.DeviceController, "") || !hasSection(s, record.DevicePhysicalDrive, "c1") {
		t.Errorf("sections %v: controller 0 was not observed, controller 1 was", s.Sections)
	}
}

// Constructed from documentation (StorCLI reference manual, the states of its
// legend): a failed drive that no longer tells its serial, one that rebuilds, an
// array without one of its members, a battery that wants to be replaced. No
// licensed capture of these exists.
func TestDegraded(t *testing.T) {
	s, problems, err := Parse([]byte(`{"Controllers":[{"Command Status":{"Controller":0,"Status":"Success"},"Response Data":{
		"Basics":{"Controller":0,"Model":"PERC H730","Serial Number":"5A1"},"Status":{"Controller Status":"Needs Attention","Any Offline VD Cache Preserved":"Yes","BBU Status":32},
		"HwCfg":{"BBU":"Present","ROC temperature(Degree Celsius)":"N/A","Temperature Sensor for ROC":"Absent"},
		"TOPOLOGY":[{"DG":0,"Arr":0,"Row":2,"EID:Slot":"-","DID":"-","Type":"DRIVE","State":"Msng"}],
		"VD LIST":[{"DG/VD":"0/0","TYPE":"RAID5","State":"Dgrd","Access":"RW","Consist":"No","Size":"1.090 TB","Name":"data"},{"DG/VD":"1/1","TYPE":"RAID0","State":"OfLn","Size":"558.375 GB"}],
		"Physical Drives":3,"PD LIST":[{"EID:Slt":"32:0","DID":0,"State":"Failed","DG":0,"Size":"558.375 GB","Intf":"SAS","Med":"HDD","Model":"ST600MM0006"},
			{"EID:Slt":"32:1","DID":1,"State":"Rbld","DG":0},{"EID:Slt":"32:2","DID":2,"State":"UBad","DG":"-"}],
		"BBU_Info":[{"Model":"BBU","State":"Dgd(Needs Attention)","RetentionTime":"0 hour(s)","Temp":"28C","Mode":"-","MfgDate":"0/00/00"}]}}]}`),
		[]byte(`{"Controllers":[{"Command Status":{"Controller":0,"Status":"Success"},"Response Data":{
		"Drive /c0/e32/s0":[{"EID:Slt":"32:0","State":"Failed","DG":0}],
		"Drive /c0/e32/s0 - Detailed Information":{"Drive /c0/e32/s0 State":{"Media Error Count":"N/A","Predictive Failure Count":7,"S.M.A.R.T alert flagged by drive":"Yes","Drive Temperature":"N/A"},
			"Drive /c0/e32/s0 Device attributes":{"SN":"                    ","Model Number":"","Firmware Revision":""}}}}]}`),
		[]byte(`{"Controllers":[{"Command Status":{"Controller":0,"Status":"Success"},"Response Data":{
		"BBU_Info":[{"Property":"Type","Value":"BBU"},{"Property":"Temperature","Value":"28 C"},{"Property":"State","Value":"Degraded(Needs Attention)"}],
		"BBU_Firmware_Status":[{"Property":"Replacement required","Value":"Yes"}],"BBU_Design_Info":[{"Property":"Serial Number","Value":1234}]}}]}`))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	f := func(typ, place, occupant, fields string) {
		t.Helper()
		d := find(t, s, typ, place)
		var got []string
		for _, a := range d.Fields {
			got = append(got, a.Key+"="+a.Value.Text())
		}
		if d.Occupant != occupant || strings.Join(got, " ") != fields {
			t.Errorf("%s %s: %q %s, want %q %s", typ, place, d.Occupant, strings.Join(got, " "), occupant, fields)
		}
	}
	f(record.DeviceController, "c0", "5A1", "state=Needs Attention model=PERC H730 preserved_cache=true")
	f(record.DevicePhysicalDrive, "c0/e32/s0", "", "state=Failed model=ST600MM0006 size_bytes=599550590976 interface=SAS media=HDD drive_group=0 device_id=0 predictive_failures=7 smart_alert=true")
	f(record.DevicePhysicalDrive, "c0/e32/s1", "", "state=Rbld drive_group=0 device_id=1")
	f(record.DevicePhysicalDrive, "c0/e32/s2", "", "state=UBad drive_group=none device_id=2")
	f(record.DeviceVirtualDrive, "c0/v0", "", "state=Dgrd level=RAID5 name=data size_bytes=1198467674276 access=RW consistent=false drive_group=0")
	f(record.DeviceVirtualDrive, "c0/v1", "", "state=OfLn level=RAID0 size_bytes=599550590976 drive_group=1")
	f(record.DeviceBattery, "c0/bbu", "1234", "state=Degraded(Needs Attention) model=BBU temperature_celsius=28 replacement_required=true")
	if !hasSection(s, record.DeviceBattery, "c0") || !hasSection(s, record.DevicePhysicalDrive, "c0") || !hasSection(s, record.DeviceVirtualDrive, "c0") {
		t.Errorf("sections %v", s.Sections)
	}
}

// Constructed from the legend of the reference manual: drives that belong to no
// volume as other drives do.
func TestDrivesBesideVolumes(t *testing.T) {
	s, _, err := Parse([]byte(made(`{"Basics":{"Model":"X"},"Physical Drives":5,"PD LIST":[{"EID:Slt":"8:0","State":"GHS","DG":"-"},{"EID:Slt":"8:1","State":"DHS","DG":2},
		{"EID:Slt":"8:2","State":"Frgn","DG":"F"},{"EID:Slt":"8:3","State":"JBOD","DG":"-"},{"EID:Slt":"8:4","State":"Cpybck","DG":0}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range s.Devices {
		if d.Type == record.DevicePhysicalDrive {
			got = append(got, d.Field("state").Str()+" "+d.Field("drive_group").Text()+" "+driveOperation(d.Field("state").Str()))
		}
	}
	if want := "GHS none , DHS 2 , Frgn foreign , JBOD none , Cpybck 0 copyback"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
}

func TestBrokenDocuments(t *testing.T) {
	f := func(why, doc, want string) {
		t.Helper()
		if _, _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", why, err, want)
		}
	}
	f("nothing", "", "empty")
	f("cut off", `{"Controllers":[{"Command Status"`, "not JSON")
	f("another tool", `{"smartctl":{}}`, `no list "Controllers"`)
	f("text", "CLI Version = 7\nStatus = Failure\nDescription = syntax error\n", "Failure, syntax error")
	f("too long", strings.Repeat(" ", MaxDocument+1), "limit")
	if _, _, err := Parse(); err == nil {
		t.Error("no document is an error")
	}
	// A raw tab in a serial number is mended, and one bad document beside a good one is a problem.
	s, problems, err := Parse([]byte("\xef\xbb\xbf{\"Controllers\":[{\"Command Status\":{\"Controller\":0,\"Status\":\"Success\"},\"Response Data\":{\"Basics\":{\"Serial Number\":\"AB\t12\"}}}]}"), []byte("oops"))
	if err != nil || len(problems) != 1 || s.Devices[0].Occupant != "AB 12" {
		t.Errorf("%+v %v %v", s, problems, err)
	}
}

func TestPlaceholderSerials(t *testing.T) {
	s, _, err := Parse([]byte(`{"Controllers":[{"Command Status":{"Controller":0,"Status":"Success"},"Response Data":{"Drive /c0/e1/s2 - Detailed Information":{"Drive /c0/e1/s2 Device attributes":{"SN":"   00000000 "}}}}]}`))
	if err != nil || s.Devices[0].Place != "c0/e1/s2" || s.Devices[0].Occupant != "" {
		t.Errorf("%+v, %v: zeros are no serial", s, err)
	}
}

func TestPlacesSortNaturally(t *testing.T) {
	want := []string{"c0", "c0/e8/s9", "c0/e8/s10", "c0/e252/s1", "c0/s3", "c10"}
	for i := range want {
		for j := range want {
			if got := comparePlaces(want[i], want[j]); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("compare %s %s = %d", want[i], want[j], got)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	corpus.Seeds(f, "raid/*/*.json")
	f.Add([]byte(`{"Controllers":[{"Command Status":{"Controller":0,"Status":"Success"},"Response Data":{"Basics":{},"PD LIST":[{"EID:Slt":" :0","Size":"1 TB"}],"Virtual Drives":[{"VD Info":{"DG/VD":"0/1"}}],"Drive /c0/s1":[{}]}}]}`))
	f.Add([]byte(`CLI Version = 1`))
	f.Add([]byte(`{"Controllers":[{"Command Status":{"Status":"Failure","Detailed Status":[{"Status":"Failed","VD":1e9}]}}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, _, err := Parse(doc, doc)
		if (s == nil) == (err == nil) {
			t.Fatalf("snapshot %v, error %v: want one of them", s, err)
		}
		if s == nil {
			return
		}
		for _, d := range s.Devices {
			if d.Place == "" {
				t.Fatalf("a %s without a place", d.Type)
			}
		}
		again, _, _ := Parse(doc, doc)
		if !reflect.DeepEqual(s, again) {
			t.Fatal("the same documents gave another snapshot")
		}
	})
}
