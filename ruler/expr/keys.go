package expr

import (
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"nocturne/internal/record"
)

// Keys are what must be true of a record for a condition to hold: each field
// that is not nil must have one of the values. A condition whose Keys do not
// fit a record is false for it, and has no error either.
type Keys struct {
	Provider []string // lower case
	Channel  []string // lower case
	Level    []string
	EventID  []Range
}

// Range is whole numbers from Low to High, both included.
type Range struct{ Low, High int64 }

// keysOf reads them from a syntax tree.
func keysOf(e ast.Expr) Keys {
	if e.Kind() != ast.CallKind {
		return Keys{}
	}
	call := e.AsCall()
	args := call.Args()
	switch op := call.FunctionName(); op {
	case operators.LogicalAnd:
		k := keysOf(args[0])
		for _, a := range args[1:] {
			k = k.and(keysOf(a))
		}
		return k
	case operators.LogicalOr:
		k := keysOf(args[0])
		for _, a := range args[1:] {
			k = k.or(keysOf(a))
		}
		return k
	case operators.In:
		if args[1].Kind() != ast.ListKind {
			return Keys{}
		}
		elements := args[1].AsList().Elements()
		if len(elements) == 0 {
			return Keys{}
		}
		k := compared(operators.Equals, args[0], elements[0])
		for _, v := range elements[1:] {
			k = k.or(compared(operators.Equals, args[0], v))
		}
		return k
	case operators.Equals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		if args[0].Kind() == ast.LiteralKind {
			return compared(mirrored(op), args[1], args[0])
		}
		return compared(op, args[0], args[1])
	default:
		return Keys{}
	}
}

func mirrored(op string) string {
	switch op {
	case operators.Less:
		return operators.Greater
	case operators.LessEquals:
		return operators.GreaterEquals
	case operators.Greater:
		return operators.Less
	case operators.GreaterEquals:
		return operators.LessEquals
	default:
		return op
	}
}

// compared reads "variable op literal".
func compared(op string, e, value ast.Expr) Keys {
	if e.Kind() != ast.IdentKind {
		return Keys{}
	}
	name := e.AsIdent()
	if n, ok := number(value); ok && name == varEventID {
		switch {
		case op == operators.Equals:
			return Keys{EventID: []Range{{n, n}}}
		case op == operators.GreaterEquals:
			return Keys{EventID: []Range{{n, math.MaxInt64}}}
		case op == operators.LessEquals:
			return Keys{EventID: []Range{{math.MinInt64, n}}}
		case op == operators.Greater && n < math.MaxInt64:
			return Keys{EventID: []Range{{n + 1, math.MaxInt64}}}
		case op == operators.Less && n > math.MinInt64:
			return Keys{EventID: []Range{{math.MinInt64, n - 1}}}
		}
		return Keys{}
	}
	s, ok := text(value)
	if !ok || op != operators.Equals {
		return Keys{}
	}
	switch name {
	case varProvider:
		return Keys{Provider: []string{s}}
	case varChannel:
		return Keys{Channel: []string{s}}
	case varLevel:
		return Keys{Level: []string{s}}
	default:
		return Keys{}
	}
}

func (k Keys) and(o Keys) Keys {
	return Keys{both(k.Provider, o.Provider), both(k.Channel, o.Channel), both(k.Level, o.Level), overlap(k.EventID, o.EventID)}
}

func (k Keys) or(o Keys) Keys {
	return Keys{either(k.Provider, o.Provider), either(k.Channel, o.Channel), either(k.Level, o.Level), either(k.EventID, o.EventID)}
}

// both keeps what is in both lists; nil says nothing. It never gives an empty
// list for two that have nothing in common: such a condition never holds, and
// either list says so.
func both[T comparable](a, b []T) []T {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	var out []T
	for _, v := range a {
		if slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	if out == nil {
		return a
	}
	return out
}

func overlap(a, b []Range) []Range {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	var out []Range
	for _, x := range a {
		for _, y := range b {
			if r := (Range{max(x.Low, y.Low), min(x.High, y.High)}); r.Low <= r.High {
				out = append(out, r)
			}
		}
	}
	if out == nil {
		return a
	}
	return out
}

func either[T comparable](a, b []T) []T {
	if a == nil || b == nil {
		return nil
	}
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// conjuncts are what "&&" joins at the top.
func conjuncts(e ast.Expr) []ast.Expr {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		var out []ast.Expr
		for _, a := range e.AsCall().Args() {
			out = append(out, conjuncts(a)...)
		}
		return out
	}
	return []ast.Expr{e}
}

// Fit tells whether a record has what the keys say. Of a record without event
// id the id is 0.
func (k Keys) Fit(r *record.Record) bool {
	if k.Provider != nil && !fold(k.Provider, r.Attr(record.AttrProvider).Str()) ||
		k.Channel != nil && !fold(k.Channel, r.Attr(record.AttrChannel).Str()) ||
		k.Level != nil && !slices.Contains(k.Level, r.Attr(record.AttrLevel).Str()) {
		return false
	}
	if k.EventID == nil {
		return true
	}
	n, _ := r.Attr(record.AttrEventID).Int()
	return slices.ContainsFunc(k.EventID, func(r Range) bool { return r.Low <= n && n <= r.High })
}

func fold(list []string, s string) bool {
	return slices.Contains(list, strings.ToLower(s))
}
