package smart

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"nocturne/exporter/source"
)

// Drive is what a disk says of itself. Numbers are nil where they are not told.
type Drive struct {
	Place string

	DeviceName, Protocol         string
	Model, Family, Vendor        string
	Firmware, Serial, Form       string
	Bytes, RotationRPM           *int64
	Supported, Asleep            bool
	State                        string // one of the State constants
	Text                         string // what else it or smartctl says, "" = nothing
	ExitStatus                   int
	Temperature                  *float64
	PowerOnHours, PowerCycles    *int64
	Reallocated, Pending         *int64 // sectors, blocks
	Uncorrectable, Reported      *int64 // found offline; told to the machine
	CRCErrors, LoggedErrors      *int64
	MediaErrors, UnsafeShutdowns *int64
	CriticalWarning              *int64   // NVMe: a set of bits, 0 = none
	LifeLeft, Spare              *float64 // percent
	BytesWritten                 *int64
	SelfTestFailed               *bool // the last one
}

// States of disks.
const (
	StateOK      = "ok"
	StateFailing = "failing" // an attribute is past its threshold, or the disk warns
	StateFailed  = "failed"  // the disk says that it fails
	StateUnknown = "unknown" // it does not say
)

// Bits of smartctl's exit status (smartctl(8), EXIT STATUS).
const (
	bitCommandLine = 1 << 0
	bitOpen        = 1 << 1 // could not be opened, or sleeps
	_              = 1 << 2 // a command failed, or a checksum: usual with healthy disks
	bitFailed      = 1 << 3
	bitPrefail     = 1 << 4 // prefail attributes at or below their threshold, now
	bitPastPrefail = 1 << 5 // the same, or usage attributes, some time ago
	bitErrorLog    = 1 << 6 // usual with healthy disks
	bitSelfTestLog = 1 << 7 // tests failed; one that succeeded later clears it on ATA
)

// remarks are the bits that are worth a word beside the state.
var remarks = []struct {
	bit  int
	text string
}{
	{bitFailed, "the disk says that it fails"},
	{bitPrefail, "an attribute is past its threshold"},
	{bitPastPrefail, "an attribute was past its threshold"},
	{bitErrorLog, "its error log is not empty"},
	{bitSelfTestLog, "self-tests failed"},
}

// nvmeHot is the critical warning of a disk that is too hot or too cold, and well.
const nvmeHot = 1 << 1

// nvmeWarnings are the bits of NVMe's critical warning (base specification,
// SMART / Health Information).
var nvmeWarnings = []string{
	"spare blocks are nearly used up", "temperature past a threshold", "reliability is degraded", "read-only", "the backup of volatile memory failed", "persistent memory is unreliable",
}

// reply is what is used of smartctl's JSON, format 1.
type reply struct {
	Smartctl struct {
		ExitStatus int `json:"exit_status"`
		Messages   []struct {
			Text     string `json:"string"`
			Severity string `json:"severity"`
		} `json:"messages"`
	} `json:"smartctl"`
	Device *struct {
		Name     string `json:"name"`
		Type     string `json:"type"`
		Protocol string `json:"protocol"`
	} `json:"device"`
	Devices []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"devices"`
	ModelFamily string `json:"model_family"`
	ModelName   string `json:"model_name"`
	Serial      string `json:"serial_number"`
	Firmware    string `json:"firmware_version"`
	SCSIVendor  string `json:"scsi_vendor"`
	SCSIProduct string `json:"scsi_product"`
	SCSIModel   string `json:"scsi_model_name"`
	SCSIRev     string `json:"scsi_revision"`
	Vendor      string `json:"vendor"` // of smartctl 7.0
	Product     string `json:"product"`
	Revision    string `json:"revision"`
	Capacity    *struct {
		Bytes int64 `json:"bytes"`
	} `json:"user_capacity"`
	NVMeCapacity *int64 `json:"nvme_total_capacity"`
	Rotation     *int64 `json:"rotation_rate"`
	FormFactor   *struct {
		Name string `json:"name"`
	} `json:"form_factor"`
	SmartSupport json.RawMessage `json:"smart_support"` // bool in 7.0, an object later
	SmartStatus  *struct {
		Passed *bool `json:"passed"`
	} `json:"smart_status"`
	Temperature *struct {
		Current *float64 `json:"current"`
	} `json:"temperature"`
	PowerOn *struct {
		Hours *int64 `json:"hours"`
	} `json:"power_on_time"`
	PowerCycles *int64 `json:"power_cycle_count"`
	Endurance   *struct {
		Used *float64 `json:"current_percent"`
	} `json:"endurance_used"`
	SpareAvailable *struct {
		Percent *float64 `json:"current_percent"`
	} `json:"spare_available"`
	Attributes *struct {
		Table []attribute `json:"table"`
	} `json:"ata_smart_attributes"`
	ErrorLog *struct {
		Summary *struct {
			Count *int64 `json:"count"`
		} `json:"summary"`
		Extended *struct {
			Count *int64 `json:"count"`
		} `json:"extended"`
	} `json:"ata_smart_error_log"`
	SelfTests *struct {
		Standard *selfTests `json:"standard"`
		Extended *selfTests `json:"extended"`
	} `json:"ata_smart_self_test_log"`
	NVMe *struct {
		CriticalWarning *int64   `json:"critical_warning"`
		Spare           *float64 `json:"available_spare"`
		Used            *float64 `json:"percentage_used"`
		Written         *int64   `json:"data_units_written"` // of 1000 × 512 bytes
		UnsafeShutdowns *int64   `json:"unsafe_shutdowns"`
		MediaErrors     *int64   `json:"media_errors"`
		LoggedErrors    *int64   `json:"num_err_log_entries"`
	} `json:"nvme_smart_health_information_log"`
	NVMeSelfTests *struct {
		Table []struct {
			Result struct {
				Value int64 `json:"value"`
			} `json:"self_test_result"`
		} `json:"table"`
	} `json:"nvme_self_test_log"`
	SCSIDefects *int64 `json:"scsi_grown_defect_list"`
	SCSIErrors  map[string]struct {
		Uncorrected *int64 `json:"total_uncorrected_errors"`
	} `json:"scsi_error_counter_log"`
	SCSIUsed *float64 `json:"scsi_percentage_used_endurance_indicator"`
	SCSITest *struct {
		Result struct {
			Value int64 `json:"value"`
		} `json:"result"`
	} `json:"scsi_self_test_0"`
}

type selfTests struct {
	Table []struct {
		Status struct {
			Passed *bool `json:"passed"`
		} `json:"status"`
	} `json:"table"`
}

// attribute is one line of the ATA table.
type attribute struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Value int64  `json:"value"` // normalised
	Raw   struct {
		Value  int64  `json:"value"`
		String string `json:"string"`
	} `json:"raw"`
}

var errNotSmartctl = errors.New("the reply is not smartctl's JSON")

func decode(doc []byte) (*reply, error) {
	if len(doc) > MaxReply {
		return nil, fmt.Errorf("a reply of %d bytes: the limit is %d", len(doc), MaxReply)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(doc, &top); err != nil || top["smartctl"] == nil {
		text := strings.TrimSpace(strings.ToValidUTF8(string(doc[:min(len(doc), 120)]), "?"))
		return nil, fmt.Errorf("%w: %.120q", errNotSmartctl, text)
	}
	r := &reply{}
	// Strict where it matters: what has another type than expected is an error
	// that names the field; what is not known is smartctl's own business.
	if err := json.NewDecoder(bytes.NewReader(doc)).Decode(r); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSmartctl, err)
	}
	return r, nil
}

// ParseScan reads the reply to --scan or --scan-open.
func ParseScan(doc []byte) ([]Device, error) {
	r, err := decode(doc)
	if err != nil {
		return nil, err
	}
	var out []Device
	for _, d := range r.Devices {
		if d.Name == "" || strings.HasPrefix(d.Name, "-") || strings.HasPrefix(d.Type, "-") || len(out) >= maxDisks {
			continue
		}
		out = append(out, Device{Name: d.Name, Type: d.Type})
	}
	return out, nil
}

// Parse reads the reply to -a or -x about one disk. The error says why it could
// not be asked. A disk that was left asleep is no error: Asleep is set, and
// nothing else is known.
func Parse(doc []byte) (Drive, error) {
	r, err := decode(doc)
	if err != nil {
		return Drive{}, err
	}
	d := Drive{ExitStatus: r.Smartctl.ExitStatus}
	if d.ExitStatus&(bitCommandLine|bitOpen) != 0 && r.SmartStatus == nil {
		text := r.message()
		if up := strings.ToUpper(text); strings.Contains(up, "STANDBY") || strings.Contains(up, "SLEEP") {
			d.Asleep = true
			return d, nil
		}
		return d, fmt.Errorf("smartctl could not ask it: %s", text)
	}
	if r.Device == nil {
		return d, errors.New("smartctl's reply names no disk")
	}
	d.Supported = r.supported()
	d.DeviceName, d.Protocol = r.Device.Name, r.Device.Protocol
	d.identity(r)
	d.health(r)
	d.attributes(r)
	d.counters(r)
	return d, nil
}

func (r *reply) message() string {
	var out []string
	for _, m := range r.Smartctl.Messages[:min(len(r.Smartctl.Messages), 8)] {
		out = append(out, clip(m.Text, 256))
	}
	if len(out) == 0 {
		return fmt.Sprintf("exit status %d without a reason", r.Smartctl.ExitStatus)
	}
	return strings.Join(out, "; ")
}

// supported tells whether the disk has SMART at all.
func (r *reply) supported() bool {
	var yes bool
	var object struct {
		Available *bool `json:"available"`
	}
	switch {
	case json.Unmarshal(r.SmartSupport, &yes) == nil:
		return yes
	case json.Unmarshal(r.SmartSupport, &object) == nil && object.Available != nil:
		return *object.Available
	}
	return r.SmartStatus != nil || r.NVMe != nil || r.Attributes != nil
}

func (d *Drive) identity(r *reply) {
	first := func(words ...string) string {
		for _, w := range words {
			if w = source.Serial(clip(w, 256)); w != "" { // "N/A" and the like say nothing
				return w
			}
		}
		return ""
	}
	d.Model = first(r.ModelName, r.SCSIModel, strings.TrimSpace(r.Vendor+" "+r.Product), r.SCSIProduct)
	d.Family, d.Vendor = first(r.ModelFamily), first(r.SCSIVendor, r.Vendor)
	d.Firmware, d.Serial = first(r.Firmware, r.SCSIRev, r.Revision), first(r.Serial)
	if r.FormFactor != nil {
		d.Form = first(r.FormFactor.Name)
	}
	if r.Capacity != nil && r.Capacity.Bytes > 0 {
		d.Bytes = &r.Capacity.Bytes
	} else {
		d.Bytes = r.NVMeCapacity
	}
	d.RotationRPM = r.Rotation
}

// health judges: the disk's own word first, then thresholds, then nothing.
func (d *Drive) health(r *reply) {
	d.State = StateUnknown
	if r.SmartStatus != nil && r.SmartStatus.Passed != nil {
		d.State = StateOK
		if !*r.SmartStatus.Passed {
			d.State = StateFailed
		}
	}
	if d.ExitStatus&bitFailed != 0 {
		d.State = StateFailed
	}
	warns := r.NVMe != nil && r.NVMe.CriticalWarning != nil && *r.NVMe.CriticalWarning != 0
	if warns && *r.NVMe.CriticalWarning == nvmeHot {
		d.State = StateFailing // smartctl says "failed" of every critical warning
	}
	if d.State != StateFailed && (warns || d.ExitStatus&bitPrefail != 0) {
		d.State = StateFailing
	}
	var said []string
	for _, m := range remarks {
		if d.ExitStatus&m.bit != 0 {
			said = append(said, m.text)
		}
	}
	for i, text := range nvmeWarnings {
		if warns && *r.NVMe.CriticalWarning&(1<<i) != 0 {
			said = append(said, text)
		}
	}
	d.Text = strings.Join(said, "; ")
}

// ATA attributes whose meaning the vendors agree on.
func (d *Drive) attributes(r *reply) {
	if r.Attributes == nil {
		return
	}
	for i := range r.Attributes.Table {
		a := &r.Attributes.Table[i]
		raw := a.raw()
		switch a.ID {
		case 5:
			d.Reallocated = raw
		case 187:
			d.Reported = raw
		case 197:
			d.Pending = raw
		case 198:
			d.Uncorrectable = raw
		case 199:
			d.CRCErrors = raw
		case 169, 177, 202, 231, 233:
			d.life(a)
		case 241:
			if a.Name == "Total_LBAs_Written" && raw != nil && *raw < math.MaxInt64/512 {
				n := *raw * 512
				d.BytesWritten = &n
			}
		}
	}
}

// life takes the normalised value of the attributes that count down from 100
// as an SSD wears, by their names: the numbers mean other things elsewhere.
func (d *Drive) life(a *attribute) {
	switch a.Name {
	case "Wear_Leveling_Count", "Media_Wearout_Indicator", "SSD_Life_Left", "Percent_Lifetime_Remain", "Remaining_Lifetime_Perc":
		if v := float64(a.Value); v >= 0 && v <= 100 && (d.LifeLeft == nil || v < *d.LifeLeft) {
			d.LifeLeft = &v
		}
	}
}

// raw returns the number that the drive database makes of the packed value:
// "24 (Min/Max 19/38)" is 24, while the value holds all three.
func (a *attribute) raw() *int64 {
	digits := a.Raw.String
	for i, c := range digits {
		if c < '0' || c > '9' {
			digits = digits[:i]
			break
		}
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return &n
	}
	if a.Raw.Value < 0 {
		return nil
	}
	n := a.Raw.Value & math.MaxUint32
	return &n
}

func (d *Drive) counters(r *reply) {
	if r.Temperature != nil && r.Temperature.Current != nil && *r.Temperature.Current > -60 && *r.Temperature.Current < 150 && *r.Temperature.Current != 0 {
		d.Temperature = r.Temperature.Current
	}
	if r.PowerOn != nil {
		d.PowerOnHours = r.PowerOn.Hours
	}
	d.PowerCycles = r.PowerCycles
	left := func(used *float64) {
		if used != nil && *used >= 0 {
			v := max(0, 100-*used)
			d.LifeLeft = &v
		}
	}
	if r.ErrorLog != nil && r.ErrorLog.Summary != nil {
		d.LoggedErrors = r.ErrorLog.Summary.Count
	}
	if r.ErrorLog != nil && r.ErrorLog.Extended != nil {
		d.LoggedErrors = r.ErrorLog.Extended.Count
	}
	if n := r.NVMe; n != nil {
		d.CriticalWarning, d.MediaErrors, d.LoggedErrors, d.UnsafeShutdowns, d.Spare = n.CriticalWarning, n.MediaErrors, n.LoggedErrors, n.UnsafeShutdowns, n.Spare
		left(n.Used)
		if n.Written != nil && *n.Written < math.MaxInt64/512_000 {
			v := *n.Written * 512_000
			d.BytesWritten = &v
		}
	}
	if r.Endurance != nil {
		left(r.Endurance.Used)
	}
	left(r.SCSIUsed)
	if r.SpareAvailable != nil && r.SpareAvailable.Percent != nil {
		d.Spare = r.SpareAvailable.Percent
	}
	if r.SCSIDefects != nil {
		d.Reallocated = r.SCSIDefects
	}
	for _, e := range r.SCSIErrors {
		if e.Uncorrected != nil {
			n := *e.Uncorrected
			if d.Uncorrectable != nil {
				n += *d.Uncorrectable
			}
			d.Uncorrectable = &n
		}
	}
	d.selfTest(r)
}

// selfTest takes the result of the last self-test that ended.
func (d *Drive) selfTest(r *reply) {
	say := func(failed bool) { d.SelfTestFailed = &failed }
	if r.SelfTests != nil {
		for _, log := range []*selfTests{r.SelfTests.Standard, r.SelfTests.Extended} {
			if log != nil && len(log.Table) > 0 && log.Table[0].Status.Passed != nil {
				say(!*log.Table[0].Status.Passed)
			}
		}
	}
	// NVMe base specification, "Device Self-test Result": 5 to 7 are failures.
	if r.NVMeSelfTests != nil && len(r.NVMeSelfTests.Table) > 0 {
		v := r.NVMeSelfTests.Table[0].Result.Value
		say(v >= 5 && v <= 7)
	}
	// SPC, "Self-test results log": 3 to 7 are failures, 15 is under way.
	if r.SCSITest != nil && r.SCSITest.Result.Value != 15 {
		say(r.SCSITest.Result.Value >= 3 && r.SCSITest.Result.Value <= 7)
	}
}

func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }
