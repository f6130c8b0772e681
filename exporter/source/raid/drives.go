package raid

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// drives reads every table of drives that the versions of the tool have.
func (p *parser) drives(place string, data object) {
	for _, name := range []string{"pd list", "drive information"} {
		for _, o := range rows(data[name]) {
			p.drive(place, slotPlace(place, o), o, nil)
		}
	}
	// Version 8: a list of objects, each with its parts.
	for _, o := range rows(data["drives list"]) {
		row := obj(o["drive information"])
		p.drive(place, slotPlace(place, row), row, obj(o["drive detailed information"]))
	}
	p.drivesByPath(place, data)
	p.drivesByPath(place, obj(data["physical device information"])) // HBAs nest them
	// Members of virtual drives: only what nothing else told.
	for _, k := range slices.Sorted(maps.Keys(data)) {
		if strings.HasPrefix(k, "pds for vd ") {
			p.members(place, data[k])
		}
	}
	for _, o := range rows(data["virtual drives"]) {
		p.members(place, o["pds"])
	}
}

func (p *parser) members(place string, v any) {
	for _, o := range rows(v) {
		at := slotPlace(place, o)
		if _, known := p.devices[key{record.DevicePhysicalDrive, at}]; !known {
			p.drive(place, at, o, nil)
		}
	}
}

// drivesByPath reads version 7's keys "Drive /c0/e252/s7" (a table of one row)
// and "Drive /c0/e252/s7 - Detailed Information" (objects whose keys begin with
// the path again).
func (p *parser) drivesByPath(place string, data object) {
	for _, k := range slices.Sorted(maps.Keys(data)) {
		path, ok := strings.CutPrefix(k, "drive /")
		if !ok {
			continue
		}
		path, rest, _ := strings.Cut(path, " ")
		if !validPlace(place, path) {
			continue
		}
		switch {
		case rest == "":
			for _, o := range rows(data[k]) {
				p.drive(place, path, o, nil)
			}
		case strings.HasPrefix(rest, "- detailed information"):
			p.drive(place, path, nil, flatten(obj(data[k])))
		}
	}
}

// validPlace accepts "c0/e252/s4" and "c0/s24" below the reply's controller.
func validPlace(controller, path string) bool {
	parts := strings.Split(path, "/")
	if parts[0] != controller || len(parts) < 2 || len(parts) > 3 {
		return false
	}
	for i, want := range []string{"e", "s"}[3-len(parts):] {
		n, ok := strings.CutPrefix(parts[i+1], want)
		if _, err := strconv.ParseUint(n, 10, 16); !ok || err != nil {
			return false
		}
	}
	return true
}

// flatten lays the objects inside o into one: their keys do not clash.
func flatten(o object) object {
	out := object{}
	for _, k := range slices.Sorted(maps.Keys(o)) {
		if sub := obj(o[k]); sub != nil {
			maps.Copy(out, sub)
		} else {
			out[k] = o[k]
		}
	}
	return out
}

// slotPlace makes a place of "EID:Slt": "252:4" is c0/e252/s4, " :0" is c0/s0;
// "" when there is no slot.
func slotPlace(controller string, o object) string {
	e, s, ok := strings.Cut(o.text("eid:slt", "eid:slot"), ":")
	slot, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if !ok || err != nil {
		return ""
	}
	at := controller
	if eid, err := strconv.ParseUint(strings.TrimSpace(e), 10, 16); err == nil {
		at += "/e" + strconv.FormatUint(eid, 10)
	}
	return at + "/s" + strconv.FormatUint(slot, 10)
}

// drive reads a row of a table, or a drive's details, or both.
func (p *parser) drive(controller, place string, row, detail object) {
	if place == "" {
		if row != nil {
			p.problem(controller, "a drive without a slot: "+row.text("eid:slt", "eid:slot", "did", "pid"))
		}
		return
	}
	d := p.device(record.DevicePhysicalDrive, place)
	p.observed(record.DevicePhysicalDrive, place)
	d.set(record.FieldState, driveState(row))
	d.set(record.FieldModel, row.words("model"))
	d.set(record.FieldSize, row.bytes("size"))
	d.set("interface", row.words("intf"))
	d.set("media", row.words("med"))
	d.set("drive_group", row.count("dg"))
	if dg := row.text("dg"); dg == "F" {
		d.set("drive_group", record.String("foreign"))
	} else if row.has("dg") && dg == "" {
		d.set("drive_group", record.String("none"))
	}
	d.set("device_id", row.count("did", "pid"))
	p.driveDetail(d, detail)
}

// driveState returns the state in the tool's own words. Version 8 says it in
// two columns: "Conf" and "Online" become "Conf/Online".
func driveState(row object) record.Value {
	state, status := row.text("state"), row.text("status")
	switch {
	case state != "" && status != "":
		return record.String(state + "/" + status)
	case state != "":
		return record.String(state)
	}
	return record.Value{}
}

func (p *parser) driveDetail(d *device, o object) {
	if o == nil {
		return
	}
	if s := source.Serial(o.text("sn", "serial number")); s != "" {
		d.occupant = s
	}
	if v := o.text("manufacturer id", "vendor"); v != "" && v != "ATA" && v != "NVMe" {
		d.set(record.FieldVendor, record.String(v)) // SATA and NVMe drives put the protocol's name there
	}
	d.fill(record.FieldModel, o.words("model number", "model"))
	d.fill(record.FieldSize, o.bytes("coerced size", "raw size"))
	d.set(record.FieldFirmware, o.words("firmware revision", "firmware revision level"))
	d.set("wwn", o.words("wwn"))
	d.set("link_speed", o.words("link speed", "negotiated speed"))
	counts := o
	if lu := obj(o["lu/ns properties"]); lu != nil && !o.has("media error count") {
		counts = lu // version 8
	}
	d.set("media_errors", counts.count("media error count"))
	d.set("other_errors", counts.count("other error count"))
	d.set("predictive_failures", counts.count("predictive failure count"))
	d.set("shield_counter", o.count("shield counter"))
	d.set("smart_alert", o.yes("s.m.a.r.t alert flagged by drive"))
	d.set("temperature_celsius", o.degrees("drive temperature", "temperature(c)"))
}

// virtualDrives reads the tables of virtual drives and their properties.
func (p *parser) virtualDrives(place string, data object) {
	for _, o := range rows(data["vd list"]) {
		p.virtualDrive(place, o, nil)
	}
	for _, o := range rows(data["virtual drives"]) {
		if info := obj(o["vd info"]); info != nil { // version 8
			p.virtualDrive(place, info, obj(o["vd properties"]))
			continue
		}
		p.virtualDrive(place, o, nil)
	}
	for _, k := range slices.Sorted(maps.Keys(data)) {
		if n, ok := strings.CutPrefix(k, "/"+place+"/v"); ok {
			props := obj(data["vd"+n+" properties"])
			for _, o := range rows(data[k]) {
				p.virtualDrive(place, o, props)
			}
		}
	}
}

func (p *parser) virtualDrive(controller string, o, props object) {
	dg, vd, ok := strings.Cut(o.text("dg/vd"), "/")
	n, err := strconv.ParseUint(strings.TrimSpace(vd), 10, 16)
	if !ok || err != nil {
		return
	}
	place := controller + "/v" + strconv.FormatUint(n, 10)
	d := p.device(record.DeviceVirtualDrive, place)
	p.observed(record.DeviceVirtualDrive, place)
	d.set(record.FieldState, o.words("state"))
	d.set("level", o.words("type"))
	d.set("name", o.words("name"))
	d.set(record.FieldSize, o.bytes("size"))
	d.set("access", o.words("access"))
	d.set("cache", o.words("cache", "currentcache"))
	d.set("consistent", o.yes("consist"))
	if g, err := strconv.ParseUint(strings.TrimSpace(dg), 10, 16); err == nil {
		d.set("drive_group", record.Int(int64(g)))
	}
	if props == nil {
		return
	}
	if s := source.Serial(props.text("scsi naa id")); s != "" {
		d.occupant = strings.ToLower(s)
	}
	d.set("os_name", props.words("os drive name"))
	d.set("drives_per_span", props.count("number of drives per span", "number of drives"))
	d.set("span_depth", props.count("span depth"))
	d.set("strip_bytes", props.bytes("strip size"))
	d.set("write_cache_initial", props.words("write cache(initial setting)"))
	d.set("created", props.words("creation date", "creation time(localtime yyyy/mm/dd hh:mm:sec)"))
	operation(d, props.text("active operations"))
}

// operation splits "Consistency Check (36%)" so that its progress is not a
// change of what goes on.
func operation(d *device, s string) {
	name, rest, _ := strings.Cut(s, "(")
	if name = strings.TrimSpace(name); name == "" {
		name = "none"
	}
	d.set("operation", record.String(name))
	digits, _, ok := strings.Cut(rest, "%")
	if n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 8); ok && err == nil && n <= 100 {
		d.set("progress_percent", record.Int(int64(n)))
	}
}
