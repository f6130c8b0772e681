package operator

import (
	"regexp"
	"strconv"
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// Known returns the last known merged state of a category of one server; nil =
// nothing is known.
type Known func(record.Category) *record.Snapshot

// Relate finds out of which drive a verdict speaks: the RAID controller, smartctl
// and Windows have three names for one disk. It sets Serial where it is known,
// and where the same serial sits in a slot of a RAID controller, Subject and
// Group: what the controller says of that slot is the same problem.
//
// Two things tell that they are the same: a known serial number, or a place that
// an event names. Where neither does, nothing is guessed.
func Relate(v *Verdict, known Known) {
	typ, place, _ := strings.Cut(v.Device, " ")
	switch {
	case typ == record.DevicePhysicalDrive && strings.Contains(place, ":"):
		if d := megaSlot(place, known(record.RAID)); d != nil {
			v.Subject, v.Group, v.Serial = diff.DeviceName(d.Type, d.Place), groupOf(d), diff.Known(d.Occupant)
		}
		return
	case typ == record.DevicePhysicalDrive:
		v.Serial = diff.Known(fieldOf(v, FieldSerial))
		return
	case typ == record.DeviceSMARTDrive, typ == record.DeviceDisk:
		v.Serial = diff.Known(fieldOf(v, FieldSerial))
	default:
		return
	}
	if v.Serial == "" {
		if typ == record.DeviceDisk {
			v.Serial = osDisk(place, known)
		} else if d := deviceAt(known(record.SMART), typ, place); d != nil {
			v.Serial = diff.Known(d.Occupant)
		}
	}
	s := known(record.RAID)
	if v.Serial == "" || s == nil {
		return
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.Type == record.DevicePhysicalDrive && diff.Known(d.Occupant) == v.Serial {
			v.Subject, v.Group = diff.DeviceName(d.Type, d.Place), groupOf(d)
			return
		}
	}
}

func fieldOf(v *Verdict, key string) string {
	for i := range v.Fields {
		if v.Fields[i].Key == key {
			return v.Fields[i].Value.Text()
		}
	}
	return ""
}

var harddisk = regexp.MustCompile(`(?i)^\\Device\\Harddisk(\d{1,4})\\`)

// osDisk returns the serial of the disk that the system's drivers call so.
func osDisk(name string, known Known) string {
	if s := known(record.Hardware); s != nil {
		for i := range s.Devices {
			if d := &s.Devices[i]; d.Type == record.DeviceDisk && calls(name, d) {
				return diff.Known(d.Occupant)
			}
		}
	}
	return ""
}

// calls tells whether a driver's name means a disk of the inventory: Windows
// calls PhysicalDrive1 \Device\Harddisk1\DR1; Linux has sda for /dev/sda, nvme0
// for the controller of /dev/nvme0n1, and 0:0:1:0 for a SCSI address.
func calls(name string, d *record.Device) bool {
	if m := harddisk.FindStringSubmatch(name); m != nil {
		return d.Place == "PhysicalDrive"+m[1]
	}
	path, found := strings.CutPrefix(d.Field(fieldOSName).Text(), "/dev/")
	switch {
	case name == "" || !found:
		return false
	case path == name, d.Field(fieldSCSI).Text() == name:
		return true
	default:
		rest, is := strings.CutPrefix(path, name+"n")
		_, err := strconv.ParseUint(rest, 10, 16)
		return is && err == nil && strings.HasPrefix(name, "nvme")
	}
}

// Fields of a disk in Linux' inventory.
const (
	fieldOSName = "os_name"
	fieldSCSI   = "scsi_address"
)

// names tells whether an event's name for a device means the one that changed;
// current is what its snapshot says now.
func names(device string, ch *diff.Change, current *record.Snapshot) bool {
	if device == diff.DeviceName(ch.Type, ch.Place) {
		return true
	}
	typ, place, _ := strings.Cut(device, " ")
	switch {
	case typ != ch.Type:
		return false
	case typ == record.DevicePhysicalDrive && strings.Contains(place, ":"):
		d := megaSlot(place, current)
		return d != nil && d.Place == ch.Place
	case typ == record.DeviceDisk:
		d := deviceAt(current, ch.Type, ch.Place)
		return d != nil && calls(place, d)
	default:
		return false
	}
}

// AttrMegaRAIDDrive may stand for an attribute where a rule says of which device
// an event speaks: the drive that MegaRAID's services name in their texts.
const AttrMegaRAIDDrive = "megaraid.drive"

// megaDrive finds "Controller ID:  0   PD Predictive failure:  PD   =   -:-:4":
// enclosure and slot are the last two numbers.
var megaDrive = regexp.MustCompile(`(?s)Controller ID:\s*(\d{1,3})\b.*?\bPD\b.*?((?:[-\d]{1,4}:){1,2}\d{1,4})\b`)

// megaPlace names the drive as the text does: "c0/-:-:4".
func megaPlace(text string) string {
	m := megaDrive.FindStringSubmatch(rule.Cut(text, 1<<10))
	if m == nil {
		return ""
	}
	return "c" + m[1] + "/" + m[2]
}

// megaSlot finds the drive at a place that megaPlace named. The enclosure is
// often not told; when two have such a slot, none is meant.
func megaSlot(place string, s *record.Snapshot) *record.Device {
	if s == nil {
		return nil
	}
	controller, numbers, _ := strings.Cut(place, "/")
	parts := strings.Split(numbers, ":")
	end := "/s" + parts[len(parts)-1]
	if _, err := strconv.Atoi(parts[max(0, len(parts)-2)]); err == nil {
		end = "/e" + parts[len(parts)-2] + end
	}
	var found *record.Device
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.Type != record.DevicePhysicalDrive || !strings.HasPrefix(d.Place, controller+"/") || !strings.HasSuffix(d.Place, end) {
			continue
		}
		if found != nil {
			return nil
		}
		found = d
	}
	return found
}

// lastGroup is groupOf, with the drive group that the device had before when it
// names none: a drive that fails leaves its group, and is still the reason why
// that group's array degrades.
func lastGroup(d, before *record.Device, was string) string {
	g := groupOf(d)
	if g == "" || strings.Contains(g, "/") {
		return g
	}
	if before != nil {
		if b := groupOf(before); strings.HasPrefix(b, g+"/") {
			return b
		}
	}
	if strings.HasPrefix(was, g+"/") {
		return was
	}
	return g
}
