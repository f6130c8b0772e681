package source

import (
	"slices"
	"time"

	"nocturne/internal/record"
)

// Fields returns the fields of a device without those that say nothing.
func Fields(all ...record.Attr) []record.Attr {
	var out []record.Attr
	for _, f := range all {
		if !f.Value.IsNull() {
			out = append(out, f)
		}
	}
	return out
}

// Text is a field, or one that Fields leaves out when the text is empty.
func Text(key, v string) record.Attr {
	if v == "" {
		return record.Attr{Key: key}
	}
	return record.Attr{Key: key, Value: record.String(v)}
}

// Count is a number above 0, or a field that Fields leaves out.
func Count(key string, n int64) record.Attr {
	if n <= 0 {
		return record.Attr{Key: key}
	}
	return record.Attr{Key: key, Value: record.Int(n)}
}

// Yes is a field that is true or false.
func Yes(key string, v bool) record.Attr { return record.Attr{Key: key, Value: record.Bool(v)} }

// Known is a field that may be true, false or not known.
func Known(key string, v *bool) record.Attr {
	if v == nil {
		return record.Attr{Key: key}
	}
	return Yes(key, *v)
}

// Moment is a time in UTC to the second, or a field that Fields leaves out.
func Moment(key string, t time.Time) record.Attr {
	if t.IsZero() {
		return record.Attr{Key: key}
	}
	return record.Attr{Key: key, Value: record.String(t.UTC().Format(time.RFC3339))}
}

// Bound leaves devices of one type out of a snapshot, from its end, until the
// record fits on the wire, and returns how many. The type is then not claimed
// as observed: what is missing is not gone.
func Bound(r *record.Record, typ string) (left int) {
	s := r.Snapshot
	for record.RecordSize(r) > record.MaxRecord-boundReserve || len(s.Devices) > record.MaxDevices {
		n := 0
		for i := len(s.Devices) - 1; i >= 0 && n < max(1, len(s.Devices)/16); i-- {
			if s.Devices[i].Type == typ {
				s.Devices = slices.Delete(s.Devices, i, i+1)
				n++
			}
		}
		if n == 0 {
			break
		}
		left += n
	}
	if left > 0 {
		s.Sections = slices.DeleteFunc(s.Sections, func(s record.Section) bool { return s.Type == typ })
	}
	return left
}

// boundReserve is for what the caller adds to say so.
const boundReserve = 4 << 10
