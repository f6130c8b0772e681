package check

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseNagios reads what a plugin wrote by the Nagios plugin API: text, "|" and
// performance data on the first line, then more text until a line with another
// "|", from where all is performance data again
// (https://nagios-plugins.org/doc/guidelines.html). The state is the exit
// code's and not set here. A payload that a plugin hides in its text stays
// text.
func parseNagios(out []byte, r *Result) {
	all := strings.ReplaceAll(strings.TrimPrefix(string(out), "\ufeff"), "\r", "")
	first, rest, _ := strings.Cut(strings.TrimLeft(all, "\n"), "\n")
	text, perf, _ := strings.Cut(first, "|")
	r.Text = line(text)
	long, more, _ := strings.Cut(rest, "|")
	r.Details = clean(strings.Trim(long, "\n"), maxDetails)
	if len(long) > maxDetails {
		r.problem("%d bytes of text, the first %d are kept", len(long), maxDetails)
	}
	left := 0
	for s := perf + "\n" + more; ; {
		item, tail, ok := nextPerf(s)
		if !ok {
			break
		}
		s = tail
		v, err := parsePerf(item)
		if err != nil {
			r.problem("performance data %.80q: %v", item.label+"="+item.value, err)
		}
		switch {
		case v.Name == "":
		case len(r.Values) >= maxValues:
			left++
		default:
			r.Values = append(r.Values, v)
		}
	}
	if left > 0 {
		r.problem("%d values more than %d are left out", left, maxValues)
	}
}

// perfItem is one label=value.
type perfItem struct{ label, value string }

// nextPerf takes the next label=value from s; false at the end. A label in
// single quotes may hold anything, a quote twice means one. Without quotes it
// is all that stands before "=", spaces included: some plugins forget them.
func nextPerf(s string) (item perfItem, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t\n;,")
	if s == "" {
		return perfItem{}, "", false
	}
	if s[0] == '\'' {
		if label, tail, closed := quoted(s[1:]); closed && strings.HasPrefix(tail, "=") {
			item.label, s = label, tail
		}
	}
	if item.label == "" {
		label, _, found := strings.Cut(s, "=")
		if !found { // words and nothing that they belong to
			return perfItem{label: line(s)}, "", true
		}
		item.label, s = label, s[len(label):]
	}
	s = s[1:] // "="
	end := strings.IndexAny(s, " \t\n")
	if end < 0 {
		end = len(s)
	}
	item.value = s[:end]
	return item, s[end:], true
}

// quoted reads up to the closing quote.
func quoted(s string) (text, rest string, closed bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\'')
		if i < 0 {
			return "", "", false
		}
		b.WriteString(s[:i])
		if s = s[i+1:]; !strings.HasPrefix(s, "'") {
			return b.String(), s, true
		}
		b.WriteByte('\'')
		s = s[1:]
	}
}

// parsePerf reads value[unit];warning;critical;min;max. A limit that cannot be
// read leaves the value without it, and is told beside it; a value without a
// name is none.
func parsePerf(item perfItem) (Value, error) {
	label := line(item.label)
	switch {
	case item.value == "":
		return Value{}, errors.New("no value")
	case label == "":
		return Value{}, errors.New("no label")
	case len(label) > maxName:
		return Value{}, fmt.Errorf("a label of %d bytes", len(label))
	}
	parts := strings.Split(item.value, ";")
	v := Value{Name: label}
	if parts[0] != "U" {
		n := numberEnd(parts[0])
		f, err := number(parts[0][:n])
		if err != nil {
			return Value{}, err
		}
		v.Number, v.Known, v.Unit = f, true, clean(parts[0][n:], 32)
	}
	at := func(i int) string {
		if i < len(parts) {
			return strings.TrimSpace(parts[i])
		}
		return ""
	}
	var errs [4]error
	v.Warning, errs[0] = optionalRange(at(1))
	v.Critical, errs[1] = optionalRange(at(2))
	v.Min, errs[2] = optionalNumber(at(3))
	v.Max, errs[3] = optionalNumber(at(4))
	return v, errors.Join(errs[:]...)
}

// numberEnd is where the number at the beginning of s ends and its unit begins.
func numberEnd(s string) int {
	i := 0
	for i < len(s) && strings.IndexByte("+-0123456789.,", s[i]) >= 0 {
		i++
	}
	// An exponent, unless the e belongs to a unit.
	if i > 0 && i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if k := j; k < len(s) && s[k] >= '0' && s[k] <= '9' {
			for k < len(s) && s[k] >= '0' && s[k] <= '9' {
				k++
			}
			return k
		}
	}
	return i
}

// number reads a decimal with a point or, where a locale got in, a comma.
func number(s string) (float64, error) {
	t := s
	if strings.Count(t, ",") == 1 && !strings.Contains(t, ".") {
		t = strings.Replace(t, ",", ".", 1)
	}
	f, err := strconv.ParseFloat(t, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(t, "xX_iInN") {
		return 0, fmt.Errorf("%.40q is no number", s)
	}
	return f, nil
}

// limit reads a number behind which some plugins repeat the unit.
func limit(s string) (float64, error) {
	n := numberEnd(s)
	if strings.ContainsAny(s[n:], ":@~") {
		return 0, fmt.Errorf("%.40q is no number", s)
	}
	return number(s[:n])
}

func optionalNumber(s string) (*float64, error) {
	if s == "" {
		return nil, nil
	}
	f, err := limit(s)
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// Range is a threshold: a value outside of it, or inside for @, is bad.
type Range struct {
	Low, High float64 // infinite where open
	Inside    bool
}

// ParseRange reads 10, 10:, ~:10, 10:20 and @10:20.
func ParseRange(s string) (Range, error) {
	r := Range{High: math.Inf(1)}
	t, inside := strings.CutPrefix(s, "@")
	r.Inside = inside
	low, high, both := strings.Cut(t, ":")
	if !both {
		low, high = "0", t
	}
	var err error
	switch low {
	case "~":
		r.Low = math.Inf(-1)
	case "": // ":10" is not in the guidelines, and only means one thing
	default:
		if r.Low, err = limit(low); err != nil {
			return Range{}, fmt.Errorf("range %.40q: %w", s, err)
		}
	}
	if high != "" || !both {
		if r.High, err = limit(high); err != nil {
			return Range{}, fmt.Errorf("range %.40q: %w", s, err)
		}
	}
	if r.Low > r.High {
		return Range{}, fmt.Errorf("range %.40q: begins after its end", s)
	}
	return r, nil
}

func optionalRange(s string) (*Range, error) {
	if s == "" || s == "~:" { // never
		return nil, nil
	}
	r, err := ParseRange(s)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// Bad tells whether a value is one to tell of.
func (r Range) Bad(v float64) bool { return (v >= r.Low && v <= r.High) == r.Inside }

// String returns the range in the shortest form that means the same.
func (r Range) String() string {
	text := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	out := ""
	if r.Inside {
		out = "@"
	}
	switch {
	case math.IsInf(r.Low, -1):
		out += "~:"
	case r.Low != 0 || math.IsInf(r.High, 1):
		out += text(r.Low) + ":"
	}
	if !math.IsInf(r.High, 1) {
		out += text(r.High)
	}
	return out
}
