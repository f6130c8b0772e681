package raid

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"nocturne/internal/record"
)

// object is a JSON object with its keys in lower case and without the spaces
// that storcli leaves around some of them.
type object map[string]any

func obj(v any) object {
	m, _ := v.(object)
	return m
}

// lower makes objects of maps, all the way down. The JSON decoder bounds the
// depth.
func lower(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(object, len(v))
		for k, e := range v {
			m[strings.ToLower(strings.TrimSpace(k))] = lower(e)
		}
		return m
	case []any:
		for i := range v {
			v[i] = lower(v[i])
		}
		return v
	}
	return v
}

// has tells whether one of the keys is there.
func (o object) has(keys ...string) bool {
	for _, k := range keys {
		if _, ok := o[k]; ok {
			return true
		}
	}
	return false
}

// text returns the first of the keys that says something, without padding;
// what storcli writes for "nothing" is "".
func (o object) text(keys ...string) string {
	for _, k := range keys {
		var s string
		switch v := o[k].(type) {
		case string:
			s = strings.TrimSpace(v)
		case json.Number:
			s = v.String()
		}
		switch strings.ToLower(s) {
		case "", "-", "n/a", "na", "none", "unknown":
			continue
		}
		if strings.Count(s, "/") == 2 && strings.Trim(s, "0/") == "" {
			continue // a date that is not known: "00/00/00", "0/00/00"
		}
		return s
	}
	return ""
}

// words returns the text as a value, null when it says nothing.
func (o object) words(keys ...string) record.Value {
	if s := o.text(keys...); s != "" {
		return record.String(s)
	}
	return record.Value{}
}

// whole returns the first of the keys that is a whole number, also in a string.
func (o object) whole(keys ...string) (int64, bool) {
	for _, k := range keys {
		if n, err := strconv.ParseInt(o.text(k), 10, 64); err == nil {
			return n, true
		}
	}
	return 0, false
}

// hours reads 168, "168" and "168 hrs".
func (o object) hours(keys ...string) record.Value {
	n, unit, _ := strings.Cut(o.text(keys...), " ")
	v, err := strconv.ParseUint(n, 10, 32)
	if err != nil || unit != "" && !strings.HasPrefix(unit, "h") {
		return record.Value{}
	}
	return record.Int(int64(v))
}

// startingWith returns the text of the first key that begins so: version 8
// writes the form of a date into the key.
func (o object) startingWith(prefix string) record.Value {
	for _, k := range slices.Sorted(maps.Keys(o)) {
		if strings.HasPrefix(k, prefix) {
			return o.words(k)
		}
	}
	return record.Value{}
}

func (o object) count(keys ...string) record.Value {
	if n, ok := o.whole(keys...); ok {
		return record.Int(n)
	}
	return record.Value{}
}

// yes returns a boolean for "Yes" and "No", null otherwise.
func (o object) yes(keys ...string) record.Value {
	switch strings.ToLower(o.text(keys...)) {
	case "yes", "y":
		return record.Bool(true)
	case "no", "n":
		return record.Bool(false)
	}
	return record.Value{}
}

// degrees reads 47, "34C", " 21C (69.80 F)", "40 C".
func (o object) degrees(keys ...string) record.Value {
	s := o.text(keys...)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '-' && end == 0) {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	rest := strings.TrimSpace(s[end:])
	if err != nil || n < -100 || n > 300 || (rest != "" && !strings.HasPrefix(rest, "C")) {
		return record.Value{}
	}
	return record.Int(n)
}

// bytes reads "16.370 TB", "1.819 TB [0xe8e088af Sectors]", "446.625 GiB",
// "0 KB", "512B". The tool's TB are powers of two whatever it calls them.
func (o object) bytes(keys ...string) record.Value {
	s := o.text(keys...)
	num := strings.TrimRight(strings.TrimSpace(strings.SplitN(s, "[", 2)[0]), "KMGTPiBkytes ")
	unit := strings.TrimSpace(s[min(len(num), len(s)):])
	f, err := strconv.ParseFloat(num, 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return record.Value{}
	}
	if unit != "" {
		if i := strings.IndexByte("KMGTP", unit[0]); i >= 0 {
			f *= math.Pow(1024, float64(i+1))
		}
	}
	if f >= 1<<60 {
		return record.Value{}
	}
	return record.Int(int64(math.Round(f)))
}

// rows returns the objects of a list, none when it is anything else.
func rows(v any) []object {
	list, _ := v.([]any)
	out := make([]object, 0, len(list))
	for _, e := range list {
		if o := obj(e); o != nil {
			out = append(out, o)
		}
	}
	return out
}

// table returns a list either as it is, when its entries are devices, or as
// one entry, when they are property and value pairs.
func table(v any) []object {
	list := rows(v)
	if len(list) == 0 || !list[0].has("property") {
		return list
	}
	return []object{properties(v)}
}

// properties makes one object of a list of {"Property", "Value"}.
func properties(v any) object {
	out := object{}
	for _, o := range rows(v) {
		if name := o.text("property"); name != "" {
			out[strings.ToLower(name)] = o["value"]
		}
	}
	return out
}
