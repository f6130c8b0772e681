package diff

import (
	"testing"

	"nocturne/internal/record"
)

// Two sources state one category: storcli's raid and Linux' mdraid. Each
// says what it observed, so neither takes the other's parts away, whichever
// speaks first, and a part that is really gone is told by its own source only.
func TestTwoSourcesOfOneCategory(t *testing.T) {
	dev := func(typ, place string) record.Device {
		return record.Device{Type: typ, Place: place, Fields: []record.Attr{{Key: record.FieldState, Value: record.String("fine")}}}
	}
	whole := func(types ...string) (s []record.Section) {
		for _, typ := range types {
			s = append(s, record.Section{Type: typ})
		}
		return s
	}
	card := &record.Snapshot{Sections: whole(record.DeviceController, record.DevicePhysicalDrive), Devices: []record.Device{dev(record.DeviceController, "c0"), dev(record.DevicePhysicalDrive, "c0/e1/s1")}}
	md := &record.Snapshot{Sections: whole(record.DeviceMDArray, record.DeviceMDMember), Devices: []record.Device{dev(record.DeviceMDArray, "md0"), dev(record.DeviceMDMember, "md0/sda1")}}
	var known *record.Snapshot
	step := func(why string, s *record.Snapshot, changes, devices int) {
		t.Helper()
		var got []Change
		if got, known = Compare(known, s); len(got) != changes || len(known.Devices) != devices {
			t.Errorf("%s: %d changes %v, %d devices, want %d and %d", why, len(got), got, len(known.Devices), changes, devices)
		}
	}
	step("the card's first", card, 0, 2)
	step("software RAID's first", md, 0, 4)
	step("the card again", card, 0, 4)
	step("software RAID again", md, 0, 4)
	step("no array any more", &record.Snapshot{Sections: md.Sections}, 2, 2)
	step("the card knows nothing of that", card, 0, 2)
	step("the drive is pulled", &record.Snapshot{Sections: card.Sections, Devices: card.Devices[:1]}, 1, 1)
}
