package spool

import (
	"strings"
	"unicode/utf8"

	"nocturne/internal/record"
)

// AttrTruncated on a record says how many bytes of its text were cut off,
// because the record was larger than record.MaxRecord.
const AttrTruncated = "spool.truncated_bytes"

// mended counts what fit had to do.
type mended struct {
	truncated  uint64
	unreadable uint64
}

func (m *mended) add(o mended) {
	m.truncated += o.truncated
	m.unreadable += o.unreadable
}

// fit returns the record when it is within record.MaxRecord, a copy with its
// longest texts cut when it is not, and nil when cutting does not help: a
// snapshot is whole or worthless.
func fit(r *record.Record) (*record.Record, mended) {
	size := record.RecordSize(r)
	if size <= record.MaxRecord {
		return r, mended{}
	}
	if r.Snapshot != nil {
		r = cutAttr(r, record.AttrRaw, 0) // evidence only; the snapshot says it all
		if record.RecordSize(r) <= record.MaxRecord {
			return r, mended{truncated: 1}
		}
		return nil, mended{unreadable: 1}
	}
	for range 8 {
		over := record.RecordSize(r) - record.MaxRecord + 64 // room for the mark
		i, longest := -1, len(r.Body)
		for j := range r.Attrs {
			if n := len(r.Attrs[j].Value.Str()); n > longest {
				i, longest = j, n
			}
		}
		if longest == 0 {
			break
		}
		keep := max(0, longest-over)
		if i >= 0 {
			r = cutAttr(r, r.Attrs[i].Key, keep)
		} else {
			r = cutBody(r, keep)
		}
		if record.RecordSize(r) <= record.MaxRecord {
			return r, mended{truncated: 1}
		}
	}
	return nil, mended{unreadable: 1}
}

func cutBody(r *record.Record, keep int) *record.Record {
	c := *r
	c.Body = cutText(r.Body, keep)
	c.Attrs = mark(r.Attrs, len(r.Body)-len(c.Body))
	return &c
}

func cutAttr(r *record.Record, key string, keep int) *record.Record {
	c := *r
	c.Attrs = append([]record.Attr(nil), r.Attrs...)
	for i := range c.Attrs {
		if c.Attrs[i].Key == key {
			old := c.Attrs[i].Value.Str()
			text := cutText(old, keep)
			c.Attrs[i].Value = record.String(text)
			c.Attrs = mark(c.Attrs, len(old)-len(text))
			break
		}
	}
	return &c
}

// mark adds n to the attribute that says how much was cut.
func mark(attrs []record.Attr, n int) []record.Attr {
	out := append(make([]record.Attr, 0, len(attrs)+1), attrs...)
	for i := range out {
		if out[i].Key == AttrTruncated {
			before, _ := out[i].Value.Int()
			out[i].Value = record.Int(before + int64(n))
			return out
		}
	}
	return append(out, record.Attr{Key: AttrTruncated, Value: record.Int(int64(n))})
}

// cutText cuts at a rune and lets go of the rest's memory.
func cutText(s string, keep int) string {
	if keep >= len(s) {
		return s
	}
	for keep > 0 && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return strings.Clone(s[:keep])
}
