package expr

import (
	"fmt"
	"reflect"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"nocturne/internal/record"
)

// activation shows an Input to CEL.
type activation Input

// Parent implements cel.Activation.
func (*activation) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	r := a.Record
	switch name {
	case varProvider:
		return lowerText(r.Attr(record.AttrProvider).Str()), true
	case varChannel:
		return lowerText(r.Attr(record.AttrChannel).Str()), true
	case varEventID:
		n, _ := r.Attr(record.AttrEventID).Int()
		return types.Int(n), true
	case varLevel:
		return types.String(r.Attr(record.AttrLevel).Str()), true
	case varMessage:
		return types.String(bound(r.Body)), true
	case varAttr:
		return &texts{attrs: r.Attrs}, true
	case varData:
		return &texts{prefix: record.AttrData, attrs: r.Attrs}, true
	}
	if label, ok := strings.CutPrefix(name, labelPrefix); ok {
		if a.Label == nil {
			return types.String(""), true
		}
		return types.String(a.Label(label)), true
	}
	h := a.Header
	if h == nil {
		h = &record.Header{}
	}
	switch name {
	case varCategory:
		return types.String(h.Category.String()), true
	case varProducer:
		return types.String(h.Producer), true
	case varUnassured:
		return types.Bool(h.Unassured), true
	}
	return nil, false
}

func lowerText(s string) types.String { return types.String(strings.ToLower(bound(s))) }

// bound cuts a text to what a condition is shown of it.
func bound(s string) string {
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:MaxText], "")
}

// texts are attributes as a map of texts: those whose key begins with prefix,
// by what follows it.
type texts struct {
	prefix string
	attrs  []record.Attr
}

var _ traits.Mapper = (*texts)(nil)

// Find implements traits.Mapper.
func (m *texts) Find(key ref.Val) (ref.Val, bool) {
	s, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	for i := range m.attrs {
		k := m.attrs[i].Key
		if len(k) == len(m.prefix)+len(s) && k[len(m.prefix):] == string(s) && k[:len(m.prefix)] == m.prefix && !m.attrs[i].Value.IsNull() {
			return types.String(bound(m.attrs[i].Value.Text())), true
		}
	}
	return nil, false
}

// Get implements traits.Indexer.
func (m *texts) Get(key ref.Val) ref.Val {
	v, ok := m.Find(key)
	switch {
	case ok:
		return v
	case v != nil:
		return v
	}
	s, _ := key.(types.String)
	return types.NewErr("no such key: %s", m.prefix+string(s))
}

// Contains implements traits.Container.
func (m *texts) Contains(key ref.Val) ref.Val {
	v, ok := m.Find(key)
	if !ok && v != nil {
		return v
	}
	return types.Bool(ok)
}

// Size implements traits.Sizer.
func (m *texts) Size() ref.Val {
	n := 0
	for i := range m.attrs {
		if strings.HasPrefix(m.attrs[i].Key, m.prefix) && !m.attrs[i].Value.IsNull() {
			n++
		}
	}
	return types.Int(n)
}

// Iterator implements traits.Iterable. Nothing iterates: there are no macros.
func (m *texts) Iterator() traits.Iterator {
	return types.NewDynamicList(types.DefaultTypeAdapter, []string{}).Iterator()
}

// ConvertToNative implements ref.Val.
func (m *texts) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("attributes are not a %v", t)
}

// ConvertToType implements ref.Val.
func (m *texts) ConvertToType(t ref.Type) ref.Val {
	if t == types.MapType {
		return m
	}
	return types.NewErr("attributes are not a %s", t.TypeName())
}

// Equal implements ref.Val.
func (m *texts) Equal(other ref.Val) ref.Val {
	o, ok := other.(*texts)
	return types.Bool(ok && o.prefix == m.prefix)
}

// Type implements ref.Val.
func (m *texts) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m *texts) Value() any { return m.attrs }
