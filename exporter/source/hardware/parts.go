package hardware

import (
	"strconv"

	"nocturne/exporter/source"
	"nocturne/exporter/source/hardware/smbios"
	"nocturne/internal/record"
)

// slots adds the slots, and remembers which card is where: the address says it.
func (b *builder) slots(info *smbios.Info) {
	b.located = map[string]string{}
	for _, o := range info.Onboard {
		if o.Address != "" && o.Enabled {
			b.located[o.Address] = source.Serial(o.Name)
		}
	}
	if len(info.Slots) > 0 {
		b.observed(record.DeviceSlot)
	}
	for i, s := range info.Slots {
		place := s.Name
		if socket(place) == "" {
			place = strconv.Itoa(i)
		}
		state := "available"
		if s.InUse {
			state = "in_use"
			if s.Address != "" {
				b.located[s.Address] = place
			}
		}
		b.add(record.DeviceSlot, place, "", source.Text(record.FieldState, state), source.Text("kind", s.Type), source.Text("bus_address", s.Address))
	}
}

// power adds power supplies and trusted platform modules. A board that
// has no idea of its power supplies describes one in nothing but placeholders.
func (b *builder) power(info *smbios.Info) {
	if len(info.PowerSupplies) > 0 {
		b.observed(record.DevicePowerSupply)
	}
	for i, p := range info.PowerSupplies {
		name, vendor, part := source.Serial(p.Name), source.Serial(p.Manufacturer), source.Serial(p.Part)
		place := source.Serial(p.Location)
		if place == "" {
			place = strconv.Itoa(i)
		}
		if !p.Present || name+vendor+part+source.Serial(p.Serial) == "" {
			b.place(record.DevicePowerSupply, place)
			continue
		}
		if part == "" {
			part = name
		}
		b.add(record.DevicePowerSupply, place, p.Serial, source.Text(record.FieldState, p.Status), source.Text(record.FieldVendor, vendor), source.Text(record.FieldModel, part),
			source.Text("name", name), said("version", p.Revision), source.Count("capacity", int64(p.Watts)), source.Yes("hot_replaceable", p.HotReplaceable))
	}
	if len(info.TPMs) > 0 {
		b.observed(record.DeviceTPM)
	}
	for i, t := range info.TPMs {
		b.add(record.DeviceTPM, strconv.Itoa(i), "", said(record.FieldVendor, t.Vendor), said(record.FieldFirmware, t.Firmware), source.Text("version", t.Spec), said("name", t.Description))
	}
}
