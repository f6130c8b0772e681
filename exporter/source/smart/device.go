package smart

import (
	"fmt"
	"strconv"
	"strings"

	"nocturne/internal/record"
)

// device states the disk; settled are the fields that do not move by
// themselves.
func (d *Drive) device() record.Device {
	out := record.Device{Type: record.DeviceSMARTDrive, Place: d.Place, Occupant: d.Serial}
	text := func(key, v string) {
		if v != "" {
			out.Fields = append(out.Fields, record.Attr{Key: key, Value: record.String(v)})
		}
	}
	whole := func(key string, v *int64) {
		if v != nil && *v >= 0 {
			out.Fields = append(out.Fields, record.Attr{Key: key, Value: record.Int(*v)})
		}
	}
	number := func(key string, v *float64) {
		if v != nil {
			out.Fields = append(out.Fields, record.Attr{Key: key, Value: record.Double(*v)})
		}
	}
	text(record.FieldState, d.State)
	text(record.FieldText, d.Text)
	text(record.FieldModel, d.Model)
	text("family", d.Family)
	text(record.FieldVendor, d.Vendor)
	text(record.FieldFirmware, d.Firmware)
	whole(record.FieldSize, d.Bytes)
	text("protocol", d.Protocol)
	text("form", d.Form)
	whole("rotation_rpm", d.RotationRPM)
	text("device_name", d.DeviceName)
	if d.SelfTestFailed != nil {
		out.Fields = append(out.Fields, record.Attr{Key: "self_test_failed", Value: record.Bool(*d.SelfTestFailed)})
	}
	whole("critical_warning", d.CriticalWarning)
	number("temperature_celsius", d.Temperature)
	whole("power_on_hours", d.PowerOnHours)
	whole("power_cycles", d.PowerCycles)
	whole("reallocated_sectors_count", d.Reallocated)
	whole("pending_sectors_count", d.Pending)
	whole("uncorrectable_errors", d.Uncorrectable)
	whole("reported_uncorrectable_errors", d.Reported)
	whole("crc_errors", d.CRCErrors)
	whole("logged_errors", d.LoggedErrors)
	whole("media_errors", d.MediaErrors)
	whole("unsafe_shutdowns_count", d.UnsafeShutdowns)
	number("life_left_percent", d.LifeLeft)
	number("spare_percent", d.Spare)
	whole("written_bytes_total", d.BytesWritten)
	return out
}

// settled is what the disk says without what moves while it works well.
func (d *Drive) settled() string {
	show := func(v *int64) string {
		if v == nil {
			return "-"
		}
		return strconv.FormatInt(*v, 10)
	}
	return strings.Join([]string{d.State, d.Text, d.Model, d.Firmware, d.Serial, show(d.Reallocated), show(d.Pending), show(d.Uncorrectable), show(d.Reported),
		show(d.CRCErrors), show(d.MediaErrors), show(d.CriticalWarning), fmt.Sprint(d.SelfTestFailed != nil && *d.SelfTestFailed)}, "\x00")
}
