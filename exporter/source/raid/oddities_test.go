package raid

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

// The ten oddities of the tool's JSON that the corpus lists, one test each.

func parsed(t *testing.T, docs ...[]byte) (*record.Snapshot, []Problem) {
	t.Helper()
	s, problems, err := Parse(docs...)
	if err != nil {
		t.Fatal(err)
	}
	return s, problems
}

// fields are some fields of a device, "-" for what is not told.
func fields(t *testing.T, s *record.Snapshot, typ, place string, keys ...string) string {
	t.Helper()
	d := find(t, s, typ, place)
	var out []string
	for _, k := range keys {
		if v := d.Field(k); v.IsNull() {
			out = append(out, "-")
		} else {
			out = append(out, v.Text())
		}
	}
	return strings.Join(out, " ")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOddity1TextInsteadOfJSON(t *testing.T) {
	_, _, err := Parse(capture(t, "Naudit.pystorcli2", "namedSet__show_events_00____c0_show_events_file=_root_raid_events.log_J.json"))
	if !errors.Is(err, ErrNotJSON) {
		t.Error(err)
	}
}

func TestOddity2SuccessAndFailureInOne(t *testing.T) {
	_, problems := parsed(t, capture(t, "jcpunk.puppet-storcli", "perccli_call_show_fail.json"))
	if len(problems) != 1 {
		t.Error(problems)
	}
	s, problems := parsed(t, capture(t, "jcpunk.puppet-storcli", "storcli_call_show_cc.json")) // two say how it is, one cannot
	if len(problems) != 1 || problems[0].Place == "" {
		t.Error(problems)
	}
	if hasSection(s, record.DeviceController, "") {
		t.Error("a controller that failed was not observed")
	}
	s, _ = parsed(t, []byte(`{"Controllers":[{"Command Status":{"Status":"Failure","Description":"No Controller found"}}]}`)) // neither version nor data
	if !hasSection(s, record.DeviceController, "") {
		t.Error("no controller is an answer")
	}
}

func TestOddity3TypesVary(t *testing.T) {
	for file, want := range map[string]string{"controller_show_all_no_roc.json": "-", "controller_show_all_roc_na.json": "-", "controller_show_all_with_roc.json": "78"} {
		s, _ := parsed(t, capture(t, "AlexBomber12.megaraid-dashboard", file))
		same(t, fields(t, s, record.DeviceController, "c0", "temperature_celsius"), want)
	}
	s, _ := parsed(t, scality(t, "controllergetter__testdata__storcli2__c0.json")) // Controller "0"
	same(t, fields(t, s, record.DeviceController, "c0", "patrol_read_interval_hours", "temperature_celsius"), "168 62")
	s, _ = parsed(t, capture(t, "steveh.telegraf-exec-storcli", "showall.json")) // Scheduled Tasks "NA"
	same(t, fields(t, s, record.DeviceController, "c0", "patrol_read_interval_hours"), "-")
	s, _ = parsed(t, capture(t, "AlexBomber12.megaraid-dashboard", "c0_show_all.json"))
	same(t, fields(t, s, record.DeviceController, "c0", "patrol_read_interval_hours", "consistency_check_interval_hours", "next_patrol_read", "shutdown_required", "alarm"),
		"168 168 04/25/2026, 09:00:00 false On")
	s, _ = parsed(t, []byte(made(`{"Drive /c0/e1/s2":[{"EID:Slt":"1:2","DG":"-","DID":"-"}],"Drive /c0/e1/s2 - Detailed Information":{"Drive /c0/e1/s2 State":
		{"Media Error Count":"N/A","Other Error Count":3,"Predictive Failure Count":"4","Shield Counter":"N/A"}}}`)))
	same(t, fields(t, s, record.DevicePhysicalDrive, "c0/e1/s2", "drive_group", "device_id", "media_errors", "other_errors", "predictive_failures", "shield_counter"), "none - - 3 4 -")
}

func TestOddity4PropertyAndValue(t *testing.T) {
	s, _ := parsed(t, capture(t, "AlexBomber12.megaraid-dashboard", "cv_show_all.json"))
	same(t, fields(t, s, record.DeviceBattery, "c0/cv", "state", "temperature_celsius"), "Optimal 40")
	s, problems := parsed(t, capture(t, "AlexBomber12.megaraid-dashboard", "bbu_show_all.json"))
	if len(problems) != 1 || hasSection(s, record.DeviceBattery, "c0") {
		t.Errorf("%v %v: a refused question says nothing about batteries", problems, s.Sections)
	}
}

func TestOddity5StraySpaces(t *testing.T) {
	files, _ := filepath.Glob(corpus.File(t, "raid", "*", "*.json"))
	values := 0
	for _, f := range files {
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := Parse(doc)
		if err != nil {
			continue // text
		}
		for _, d := range s.Devices {
			for _, a := range d.Fields {
				if values++; a.Value.Text() != strings.TrimSpace(a.Value.Text()) {
					t.Errorf("%s: %s of %s is %q", filepath.Base(f), a.Key, d.Place, a.Value.Text())
				}
			}
		}
	}
	if values < 5000 {
		t.Errorf("only %d values", values)
	}
}

func TestOddity6PathsInKeys(t *testing.T) {
	s, _ := parsed(t, []byte(made(`{"Drive /c0/s24":[{"EID:Slt":" :24","State":"JBOD"}],"Drive /c0/s24 - Detailed Information":{"Drive /c0/s24 Device attributes":{"SN":"S24"}}}`)))
	if d := find(t, s, record.DevicePhysicalDrive, "c0/s24"); d.Occupant != "S24" || d.Field("state").Str() != "JBOD" {
		t.Errorf("%+v", d)
	}
	s, _ = parsed(t, capture(t, "jcpunk.puppet-storcli", "storcli_call_show.json"))
	find(t, s, record.DevicePhysicalDrive, "c2/s0") // "EID:Slt": " :0"
}

func TestOddity7Units(t *testing.T) {
	for in, want := range map[string]string{
		"1.819 TB": "2000000000000", "1.819 TB [0xe8e088af Sectors]": "2000000000000", "446.625 GiB": "479559942144", "0 KB": "0", "4 KB": "4096", "512B": "512", "-": "", "soon": "",
	} {
		v := object{"x": in}.bytes("x")
		if strings.HasPrefix(in, "1.819") {
			if n, _ := v.Int(); n < 1_999_000_000_000 || n > 2_001_000_000_000 {
				t.Errorf("%q is %d", in, n)
			}
			continue
		}
		same(t, v.Text(), want)
	}
	for in, want := range map[string]any{"47": json.Number("47"), "34": "34C", "21": " 21C (69.80 F)", "": "N/A", "40": "40 C"} {
		same(t, object{"x": want}.degrees("x").Text(), in)
	}
}

func TestOddity8Dates(t *testing.T) {
	for in, want := range map[string]string{
		"00/00/00": "", "0/00/00": "", "0000/00/00": "", "04/17/2024, 18:28:30": "04/17/2024, 18:28:30", "04/17/2024 18:28:30": "04/17/2024 18:28:30", "17-04-2024": "17-04-2024", "10/02/23": "10/02/23",
	} {
		same(t, object{"x": in}.text("x"), want)
	}
}

func TestOddity9Version8(t *testing.T) {
	s, _ := parsed(t, scality(t, "controllergetter__testdata__storcli2__c0.json"))
	same(t, fields(t, s, record.DevicePhysicalDrive, "c0/e306/s0", "state", "device_id", "model"), "Conf/Online 293 ST10000NM018B")
	same(t, fields(t, s, record.DeviceBattery, "c0/ep", "state", "model"), "Optimal FBU345")
	same(t, fields(t, s, record.DeviceEnclosure, "c0/e306", "state", "power_supplies", "fans", "temperature_sensors", "alarms"), "OK 1 0 3 1")
}

func TestOddity10OrderAndSpaceMeanNothing(t *testing.T) {
	for _, name := range []string{"controllers__c0.json", "physicaldrives__show__all.json", "controllergetter__testdata__storcli2__c0.json"} {
		doc := scality(t, name)
		var v any
		if err := decode(doc, &v); err != nil {
			t.Fatal(err)
		}
		packed, err := json.Marshal(v) // keys in another order
		if err != nil {
			t.Fatal(err)
		}
		a, _ := parsed(t, doc)
		b, _ := parsed(t, packed)
		if string(packed) == string(doc) || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: the same facts give another snapshot", name)
		}
	}
}
