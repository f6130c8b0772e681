package raid

import (
	"strconv"
	"strings"

	"nocturne/internal/record"
)

// progress reads the replies to "show rebuild", "show copyback" and the like
// about drives, whose data is a list, and to "show cc", "show init", … about
// virtual drives.
func (p *parser) progress(controller string, data any) {
	if controller == "" {
		return
	}
	for _, o := range rows(data) {
		place := strings.Trim(o.text("drive-id"), "/")
		if validPlace(controller, place) {
			p.device(record.DevicePhysicalDrive, place).progress(o)
		}
	}
	for _, o := range rows(obj(data)["vd operation status"]) {
		if n, ok := o.whole("vd"); ok && n >= 0 && n < 1<<16 {
			p.device(record.DeviceVirtualDrive, controller+"/v"+strconv.FormatInt(n, 10)).progress(o)
		}
	}
}

// progress sets how far an operation is, if it is under way: the tool lists
// every drive, most of them as "Not in progress".
func (d *device) progress(o object) {
	if !strings.EqualFold(o.text("status"), "In progress") {
		return
	}
	if n, ok := o.whole("progress%"); ok && n >= 0 && n <= 100 {
		d.set("progress_percent", record.Int(n))
	}
	if s, ok := timeLeft(o.text("estimated time left")); ok {
		d.set("time_left_seconds", record.Int(s))
	}
}

// timeLeft reads "2 Days 3 Hours 20 Minutes" in seconds.
func timeLeft(s string) (seconds int64, ok bool) {
	words := strings.Fields(s)
	if len(words) == 0 || len(words)%2 != 0 || len(words) > 8 {
		return 0, false
	}
	units := map[string]int64{"day": 86400, "hour": 3600, "minute": 60, "second": 1}
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.ParseUint(words[i], 10, 16)
		unit := units[strings.TrimSuffix(strings.ToLower(words[i+1]), "s")]
		if err != nil || unit == 0 {
			return 0, false
		}
		seconds += int64(n) * unit
	}
	return seconds, true
}
