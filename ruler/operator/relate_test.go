package operator

import (
	"testing"

	"nocturne/internal/record"
)

func TestRelate(t *testing.T) {
	raid := &record.Snapshot{Devices: []record.Device{
		{Type: "physical_drive", Place: "c0/e252/s4", Occupant: "Z1", Fields: []record.Attr{{Key: FieldGroup, Value: record.Int(0)}}},
		{Type: "physical_drive", Place: "c0/e252/s5", Occupant: "Z2"},
		{Type: "physical_drive", Place: "c0/e251/s5", Occupant: "Z3"},
		{Type: "physical_drive", Place: "c10/e252/s4", Occupant: "Z4"},
		{Type: "physical_drive", Place: "c0/s7", Occupant: "To be filled by O.E.M."},
	}}
	hardware := &record.Snapshot{Devices: []record.Device{{Type: "disk", Place: "PhysicalDrive1", Occupant: "Z1"}, {Type: "disk", Place: "PhysicalDrive11", Occupant: "Z2"},
		{Type: "disk", Place: "pci-0000:03:00.0-scsi-0:0:1:0", Occupant: "Z5", Fields: []record.Attr{{Key: fieldOSName, Value: record.String("/dev/sda")}, {Key: fieldSCSI, Value: record.String("0:0:1:0")}}},
		{Type: "disk", Place: "pci-0000:04:00.0-nvme-1", Occupant: "Z6", Fields: []record.Attr{{Key: fieldOSName, Value: record.String("/dev/nvme0n1")}}},
		{Type: "disk", Place: "pci-0000:05:00.0-nvme-1", Occupant: "Z7", Fields: []record.Attr{{Key: fieldOSName, Value: record.String("/dev/nvme0n10")}}}}}
	f := func(device, serial, wantSubject, wantGroup, wantSerial string) {
		t.Helper()
		v := Verdict{Device: device, Fields: []record.Attr{{Key: FieldSerial, Value: record.String(serial)}}}
		Relate(&v, func(c record.Category) *record.Snapshot {
			return map[record.Category]*record.Snapshot{record.RAID: raid, record.Hardware: hardware}[c]
		})
		if v.Subject != wantSubject || v.Group != wantGroup || v.Serial != wantSerial {
			t.Errorf("%s %s: subject %q, group %q, serial %q", device, serial, v.Subject, v.Group, v.Serial)
		}
	}
	const s4 = "physical_drive c0/e252/s4"
	f(s4, "Z1", "", "", "Z1") // it says itself where it is
	f("smart_drive sda/megaraid,14", "Z1", s4, "c0/dg0", "Z1")
	f("smart_drive sda", "", "", "", "")
	f("smart_drive sda", "To be filled by O.E.M.", "", "", "") // equals nothing
	f("smart_drive sda", "Z99", "", "", "Z99")
	f(`disk \Device\Harddisk1\DR1`, "", s4, "c0/dg0", "Z1")
	f(`disk \Device\Harddisk11\DR1`, "", "physical_drive c0/e252/s5", "c0", "Z2")
	f(`disk \Device\Harddisk2\DR1`, "", "", "", "")
	f("disk sda", "", "", "", "Z5")
	f("disk 0:0:1:0", "", "", "", "Z5")
	f("disk nvme0", "", "", "", "Z6") // the controller's first
	f("disk nvme0n10", "", "", "", "Z7")
	f("disk sd", "", "", "", "")
	f("disk nvme", "", "", "", "")
	f("physical_drive c0/-:-:4", "", s4, "c0/dg0", "Z1")
	f("physical_drive c0/252:5", "", "physical_drive c0/e252/s5", "c0", "Z2")
	f("physical_drive c0/-:-:5", "", "", "", "") // two enclosures have a slot 5
	f("physical_drive c10/-:-:4", "", "physical_drive c10/e252/s4", "c10", "Z4")
	f("physical_drive c0/-:-:7", "", "physical_drive c0/s7", "c0", "")
	f("physical_drive c0/-:-:9", "", "", "", "")
	f("memory A1", "Z1", "", "", "")
	f("", "", "", "", "")
}

func TestMegaRAIDText(t *testing.T) {
	for text, want := range map[string]string{
		"Controller ID:  0   PD Predictive failure:  PD   =   -:-:4":                                      "c0/-:-:4",
		"Controller ID: 1 State change:   PD   =   -:-:12   Previous   =   Online   Current   =   Failed": "c1/-:-:12",
		"Controller ID:  0   Rebuild progress:   PD  252:4  Progress  3%":                                 "c0/252:4",
		"Controller ID:  0   VD is now DEGRADED   VD   0":                                                 "",
		"PD = -:-:4": "",
		"":           "",
	} {
		if got := megaPlace(text); got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}

func FuzzMegaRAID(f *testing.F) {
	f.Add("Controller ID:  0   PD Predictive failure:  PD   =   -:-:4")
	f.Fuzz(func(t *testing.T, text string) {
		if place := megaPlace(text); place != "" {
			megaSlot(place, &record.Snapshot{Devices: []record.Device{{Type: record.DevicePhysicalDrive, Place: "c0/e252/s4"}}})
		}
	})
}
