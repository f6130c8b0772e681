package raid

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// reply reads one entry of "Controllers": what one controller answered.
func (p *parser) reply(r object) {
	status, data := obj(r["command status"]), obj(r["response data"])
	n, named := status.whole("controller")
	if !named {
		n, named = obj(data["basics"]).whole("controller")
	}
	place := ""
	if named && n >= 0 && n < 1<<16 {
		place = "c" + strconv.FormatInt(n, 10)
	}
	failed := p.status(place, status)
	p.nothingThere(place, status)
	p.progress(place, r["response data"])
	if data == nil {
		return
	}
	p.overview(data)
	if place == "" {
		return // an overview of all controllers, or a reply that names none
	}
	p.controller(place, data)
	p.enclosures(place, data)
	p.drives(place, data)
	p.virtualDrives(place, data)
	p.batteries(place, data)
	if !failed {
		p.sectionsOf(place, data)
	}
}

// status notes what the reply says went wrong.
func (p *parser) status(place string, s object) (failed bool) {
	failed = strings.EqualFold(s.text("status"), "failure")
	told := false
	for _, d := range rows(s["detailed status"]) {
		if st := strings.ToLower(d.text("status")); st != "failure" && st != "failed" {
			continue
		}
		at := cmpPath(d.text("drive"), place)
		if vd, ok := d.whole("vd"); ok && place != "" {
			at = fmt.Sprintf("%s/v%d", place, vd)
		}
		text := d.text("errmsg", "description", "error")
		if code := d.text("errcd"); code != "" {
			text = strings.TrimSpace(text + " (error " + code + ")")
		}
		if text == "" {
			text = "the tool says \"" + d.text("status") + "\" without a reason"
		}
		p.problem(at, text)
		told = true
	}
	if failed && !told {
		text := s.text("description")
		if text == "" {
			text = "the tool says \"Failure\" without a reason"
		}
		p.problem(place, text)
	}
	return failed
}

// cmpPath makes "c0/e252/s7" of "/c0/e252/s7", or returns the fallback.
func cmpPath(path, fallback string) string {
	if path = strings.Trim(path, "/"); path != "" {
		return path
	}
	return fallback
}

// nothingThere recognises the failures that are answers.
func (p *parser) nothingThere(place string, s object) {
	text := strings.ToLower(s.text("description"))
	switch {
	case text == "no controller found":
		p.observed(record.DeviceController, "")
	case place != "" && strings.Contains(text, "have been configured") && (strings.Contains(text, "vd") || strings.Contains(text, "virtual drive")):
		p.observed(record.DeviceVirtualDrive, place) // "No VD's have been configured."
	}
}

// overview reads the table of all controllers that `show` prints. It only fills
// in what the controller's own reply did not say.
func (p *parser) overview(data object) {
	list := append(rows(data["system overview"]), rows(data["it system overview"])...)
	for _, o := range list {
		n, ok := o.whole("ctl", "ctrl")
		if !ok || n < 0 || n >= 1<<16 {
			continue
		}
		d := p.device(record.DeviceController, "c"+strconv.FormatInt(n, 10))
		d.set("overview_health", o.words("hlth", "health"))
		d.fill(record.FieldModel, o.words("model", "product name"))
	}
	if n, ok := data.whole("number of controllers"); ok && int(n) == len(list) {
		p.observed(record.DeviceController, "")
	}
}

// fill sets a field that is not set yet.
func (d *device) fill(name string, v record.Value) {
	for i := range d.fields {
		if d.fields[i].Key == name {
			return
		}
	}
	d.set(name, v)
}

// full tells whether this is a `show` or `show all` of the whole controller.
func full(data object) bool {
	return data.has("basics") || data.has("product name") && data.has("pd list", "physical drives", "fw package build", "fw version")
}

func (p *parser) controller(place string, data object) {
	basics, version, status, hw := obj(data["basics"]), obj(data["version"]), obj(data["status"]), obj(data["hwcfg"])
	if !full(data) {
		if temp := controllerTemperature(properties2(data["controller properties"])); !temp.IsNull() {
			p.device(record.DeviceController, place).set("temperature_celsius", temp)
		}
		return
	}
	d := p.device(record.DeviceController, place)
	if s := source.Serial(either(basics, data).text("serial number")); s != "" {
		d.occupant = s
	}
	d.set(record.FieldState, status.words("controller status"))
	d.set(record.FieldModel, basics.words("model", "product name"))
	d.set(record.FieldModel, data.words("product name"))
	d.set(record.FieldFirmware, version.words("firmware package build", "package version", "firmware version"))
	d.set(record.FieldFirmware, data.words("fw package build", "fw version"))
	d.set("firmware_version", either(version, data).words("firmware version", "fw version"))
	d.set("bios_version", either(version, data).words("bios version"))
	d.set("driver", either(version, data).words("driver name"))
	d.set("driver_version", either(version, data).words("driver version"))
	d.set("pci_address", record.Value{})
	for _, o := range []object{basics, data, obj(data["hostinterface"])} {
		d.fill("pci_address", o.words("pci address"))
	}
	d.set("personality", status.words("current personality", "controller personality"))
	d.set("memory_correctable_errors", status.count("memory correctable errors"))
	d.set("memory_uncorrectable_errors", status.count("memory uncorrectable errors"))
	d.set("preserved_cache", status.yes("any offline vd cache preserved", "preserved cache present"))
	d.set("alarm", either(hw, status).words("alarm", "alarm state"))
	d.set("safe_mode", status.yes("controller has booted into safe mode"))
	d.set("shutdown_required", status.yes("controller shutdown required"))
	d.set("temperature_celsius", controllerTemperature(hw))
	tasks := obj(data["scheduled tasks"]) // "NA" where there are none
	d.set("patrol_read_interval_hours", tasks.hours("patrol read reoccurrence", "patrol read execution frequency(hours)"))
	d.set("next_patrol_read", tasks.startingWith("next patrol read"))
	d.set("consistency_check_interval_hours", tasks.hours("consistency check reoccurrence", "consistency check execution frequency(hours)"))
	d.set("next_consistency_check", tasks.startingWith("next consistency check"))
}

// either returns a where it says anything, else b: version 8 and `show all`
// nest what `show` prints flat.
func either(a, b object) object {
	if len(a) > 0 {
		return a
	}
	return b
}

// controllerTemperature finds "ROC temperature(Degree Celsius)" and its
// variants; "Temperature Sensor for ROC": "Absent" is another key.
func controllerTemperature(o object) record.Value {
	for _, k := range slices.Sorted(maps.Keys(o)) {
		if strings.HasPrefix(k, "roc temperature") || strings.HasPrefix(k, "chip temperature") || strings.HasPrefix(k, "ctrl temperature") {
			if v := o.degrees(k); !v.IsNull() {
				return v
			}
		}
	}
	return record.Value{}
}

// properties2 is properties for tables whose first column is "Ctrl_Prop".
func properties2(v any) object {
	out := object{}
	for _, o := range rows(v) {
		if name := o.text("ctrl_prop"); name != "" {
			out[strings.ToLower(name)] = o["value"]
		}
	}
	return out
}

func (p *parser) enclosures(place string, data object) {
	for _, name := range []string{"enclosure list", "enclosure information", "properties"} {
		for _, o := range rows(data[name]) {
			eid, ok := o.whole("eid")
			if !ok || eid < 0 {
				continue
			}
			at := fmt.Sprintf("%s/e%d", place, eid)
			d := p.device(record.DeviceEnclosure, at)
			p.observed(record.DeviceEnclosure, at)
			d.set(record.FieldState, o.words("state"))
			d.set(record.FieldModel, o.words("prodid"))
			d.set("slots", o.count("slots"))
			d.set("drives", o.count("pd"))
			d.set("power_supplies", o.count("ps"))
			d.set("fans", o.count("fans"))
			d.set("temperature_sensors", o.count("tss"))
			d.set("alarms", o.count("alms"))
			d.set("vendor_specific", o.words("vendorspecific")) // the expander's firmware on most
		}
	}
}

// batteries reads the three kinds of energy store.
func (p *parser) batteries(place string, data object) {
	for _, kind := range []struct{ key, name string }{{"cachevault_info", "cv"}, {"bbu_info", "bbu"}, {"energy pack info", "ep"}} {
		for i, o := range table(data[kind.key]) {
			at := place + "/" + kind.name
			if i > 0 {
				at += strconv.Itoa(i)
			}
			d := p.device(record.DeviceBattery, at)
			p.observed(record.DeviceBattery, at)
			d.set(record.FieldState, o.words("state", "status"))
			d.set(record.FieldModel, o.words("model", "subtype", "type"))
			d.set("temperature_celsius", o.degrees("temp", "temperature", "temperature(c)"))
			d.set("manufactured", o.words("mfgdate"))
			if i == 0 {
				d.set("replacement_required", properties(data["firmware_status"]).yes("replacement required"))
				d.set("replacement_required", properties(data["bbu_firmware_status"]).yes("replacement required"))
				design := either(properties(data["design_info"]), properties(data["bbu_design_info"]))
				if s := source.Serial(design.text("serial number")); s != "" {
					d.occupant = s
				}
			}
		}
	}
}

// sectionsOf says what a full reply of a controller states completely. The
// tool leaves out the table of virtual drives where there is none; that of the
// drives is always there, or their count is 0.
func (p *parser) sectionsOf(place string, data object) {
	if !full(data) {
		return
	}
	p.observed(record.DeviceController, place)
	_, pds := data["pd list"].([]any)
	if n, ok := data.whole("physical drives"); ok && n == 0 {
		pds = true
	}
	if len(obj(data["physical device information"])) > 0 {
		pds = true
	}
	if pds {
		p.observed(record.DevicePhysicalDrive, place)
		if _, ok := data["vd list"].([]any); ok || !data.has("virtual drives", "topology", "drive groups") {
			p.observed(record.DeviceVirtualDrive, place)
		}
	}
	for _, k := range []string{"enclosure list", "enclosure information"} {
		if _, ok := data[k].([]any); ok {
			p.observed(record.DeviceEnclosure, place)
		}
	}
	if data.has("cachevault_info", "bbu_info", "energy pack info") || strings.EqualFold(obj(data["hwcfg"]).text("bbu", "energy pack"), "absent") {
		p.observed(record.DeviceBattery, place)
	}
}
