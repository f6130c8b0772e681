package compat

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
)

// storcli is the old agent's reading of the RAID tool's text output. What it
// never read is not observed: enclosures without drives, drives without an
// enclosure, batteries, temperatures. The tool's raw text came along with its
// line ends removed, so that nobody can read it: it is left out.
type storcli struct {
	Name            string
	OperatingSystem *string
	CurrentDateTime stamp
	StorcliVersion  *string
	Controllers     []controller
}

type controller struct {
	ControllerNumber *int64
	Model            *string
	SerialNumber     *string
	EnclosureDevices []enclosure
	VirtualDrives    []virtualDrive
}

type enclosure struct {
	Eid            *int64
	NrSlots        *int64
	NrPDs          *int64
	Port           *string
	PhysicalDrives []physicalDrive
}

type physicalDrive struct {
	SerialNumber             *string
	Size                     *string
	ProductID                *string `json:"ProductId"` // its first word only
	VendorID                 *string `json:"VendorId"`
	MediaErrorCount          *int64
	PredictiveFailureCount   *int64
	Slot                     *int64
	AssignmentType           *string // the state
	VirtualDriveDigitalGroup driveGroup
}

// driveGroup is a number, or null for a drive that is in none.
type driveGroup struct {
	known  bool
	number *int64
}

// UnmarshalJSON implements json.Unmarshaler; null comes here too.
func (g *driveGroup) UnmarshalJSON(b []byte) error {
	g.known = true
	return json.Unmarshal(b, &g.number)
}

// add says it in the exporter's words.
func (g *driveGroup) add(f *fields) {
	if none := "none"; g.known && g.number == nil {
		f.text("drive_group", &none)
	}
	f.number("drive_group", g.number)
}

type virtualDrive struct {
	VDNumber     *int64
	DigitalGroup *int64
	Type         *string
	Size         *string
	State        *string
}

const attrTool = "raid.tool_version"

// parts collects devices at places that are named once.
type parts struct {
	s     record.Snapshot
	seen  map[string]bool
	taken map[string]int // by type and place: numbers given so far
}

// add adds a device; a second one at the same place is an error: the message
// contradicts itself.
func (p *parts) add(typ, place string, occupant *string, f fields) error {
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	if key := typ + "\x00" + place; p.seen[key] {
		return fmt.Errorf("%s %s is named twice", typ, place)
	} else if p.seen[key] = true; len(p.seen) > maxList {
		return fmt.Errorf("more than %d parts", maxList)
	}
	p.s.Devices = append(p.s.Devices, record.Device{Type: typ, Place: place, Occupant: clip(strings.TrimSpace(value(occupant)), maxField), Fields: f})
	return nil
}

// free gives a place that is taken a number: sensors can share a name, and
// updates an id.
func (p *parts) free(typ, place string) string {
	if p.taken == nil {
		p.taken = map[string]int{}
	}
	at, key := place, typ+"\x00"+place
	for p.seen[typ+"\x00"+at] {
		p.taken[key]++ // goes on where it was: thousands can share a name
		at = place + "#" + strconv.Itoa(p.taken[key]+1)
	}
	return at
}

func (p *parts) observed(typ, scope string) {
	if len(p.s.Sections) < record.MaxSections {
		p.s.Sections = append(p.s.Sections, record.Section{Type: typ, Scope: scope})
	}
}

// number is a place's number: a part without one has no place.
func number(what string, n *int64) (string, error) {
	if n == nil || *n < 0 || *n > math.MaxUint16 {
		return "", fmt.Errorf("%s without a number", what)
	}
	return strconv.FormatInt(*n, 10), nil
}

func (m *storcli) message(received time.Time) (Message, error) {
	var p parts
	drives, virtual := 0, 0
	for i := range m.Controllers {
		c := &m.Controllers[i]
		if err := c.add(&p); err != nil {
			return Message{}, err
		}
		for j := range c.EnclosureDevices {
			drives += len(c.EnclosureDevices[j].PhysicalDrives)
		}
		virtual += len(c.VirtualDrives)
	}
	if m.Controllers != nil {
		p.observed(record.DeviceController, "")
	}
	r := snapshot(m.CurrentDateTime.or(received), received, fmt.Sprintf("RAID: %d controllers, %d virtual drives, %d physical drives", len(m.Controllers), virtual, drives), &p.s)
	var f fields
	f.text(attrTool, m.StorcliVersion)
	r.Attrs = f
	return Message{Host: m.Name, Category: record.RAID, Record: r}, nil
}

func (c *controller) add(p *parts) error {
	n, err := number("controller", c.ControllerNumber)
	if err != nil {
		return err
	}
	place := "c" + n
	var f fields
	f.text(record.FieldModel, c.Model)
	if err := p.add(record.DeviceController, place, c.SerialNumber, f); err != nil {
		return err
	}
	for i := range c.EnclosureDevices {
		if err := c.EnclosureDevices[i].add(p, place); err != nil {
			return err
		}
	}
	for i := range c.VirtualDrives {
		if err := c.VirtualDrives[i].add(p, place); err != nil {
			return err
		}
	}
	if c.VirtualDrives != nil {
		p.observed(record.DeviceVirtualDrive, place)
	}
	return nil
}

func (e *enclosure) add(p *parts, controller string) error {
	n, err := number("enclosure", e.Eid)
	if err != nil {
		return err
	}
	place := controller + "/e" + n
	var f fields
	f.number("slots", e.NrSlots)
	f.number("drives", e.NrPDs)
	if err := p.add(record.DeviceEnclosure, place, nil, f); err != nil {
		return err
	}
	p.observed(record.DeviceEnclosure, place)
	for i := range e.PhysicalDrives {
		if err := e.PhysicalDrives[i].add(p, place); err != nil {
			return err
		}
	}
	if e.PhysicalDrives != nil {
		p.observed(record.DevicePhysicalDrive, place)
	}
	return nil
}

func (d *physicalDrive) add(p *parts, enclosure string) error {
	n, err := number("drive", d.Slot)
	if err != nil {
		return err
	}
	var f fields
	f.text(record.FieldState, d.AssignmentType)
	f.text(record.FieldModel, d.ProductID)
	f.text(record.FieldVendor, d.VendorID)
	f.number(record.FieldSize, size(d.Size))
	d.VirtualDriveDigitalGroup.add(&f)
	f.number("media_errors", d.MediaErrorCount)
	f.number("predictive_failures", d.PredictiveFailureCount)
	return p.add(record.DevicePhysicalDrive, enclosure+"/s"+n, d.SerialNumber, f)
}

func (v *virtualDrive) add(p *parts, controller string) error {
	n, err := number("virtual drive", v.VDNumber)
	if err != nil {
		return err
	}
	var f fields
	f.text(record.FieldState, v.State)
	f.text("level", v.Type)
	f.number(record.FieldSize, size(v.Size))
	f.number("drive_group", v.DigitalGroup)
	return p.add(record.DeviceVirtualDrive, controller+"/v"+n, nil, f)
}

// size reads "1.819 TB", whose units are powers of two; nil = not one.
func size(s *string) *int64 {
	num, unit, ok := strings.Cut(strings.TrimSpace(value(s)), " ")
	f, err := strconv.ParseFloat(num, 64)
	power := strings.Index("BKMGTP", strings.TrimSuffix(strings.TrimSpace(unit), "B"))
	if unit == "B" {
		power = 0
	}
	if !ok || err != nil || power < 0 || f < 0 || !(f*math.Pow(1024, float64(power)) < 1<<60) {
		return nil
	}
	n := int64(math.Round(f * math.Pow(1024, float64(power))))
	return &n
}
