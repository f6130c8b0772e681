package operator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// makers is the registry: the kinds of rules and who carries them out.
func makers() map[string]func(*rule.Rule) Operator {
	return map[string]func(*rule.Rule) Operator{
		"match":    newMatch,
		"state":    newState,
		"change":   newChange,
		"count":    newCount,
		"flap":     newFlap,
		"sequence": newSequence,
		"absent":   newAbsent,
		"clone":    newClone,
		"risk":     newRisk,
	}
}

// New returns the operator of one rule.
func New(r *rule.Rule) (Operator, error) {
	f := makers()[r.Kind]
	if f == nil {
		return nil, fmt.Errorf("rule %s: no operator for kind %q", r.ID, r.Kind)
	}
	return f(r), nil
}

// Set carries out all rules over the servers of one partition. It shows a
// record only to the rules that may care.
type Set struct {
	rules []*rule.Rule
	ops   []Operator
	byID  map[string]int

	snapshots snapshotIndex // state, change, count, flap, sequence; match of a device
	risks     riskIndex     // behind them: they look at what those hold open
	heard     heardIndex    // absent, clone, sequence
	events    index
	// Panicked, if set, is told of a bug that a rule met when time passed, in its own
	// operator: the others go on.
	Panicked func(ruleID string, what any)
}

// NewSet makes the operators of the rules. Ids must be unique.
func NewSet(rules []*rule.Rule) (*Set, error) {
	s := &Set{rules: rules, byID: map[string]int{}, heard: newHeardIndex(), snapshots: newSnapshotIndex(), events: newIndex()}
	for i, r := range rules {
		if _, twice := s.byID[r.ID]; twice {
			return nil, fmt.Errorf("rule %s: the id is taken", r.ID)
		}
		op, err := New(r)
		if err != nil {
			return nil, err
		}
		s.byID[r.ID] = i
		s.ops = append(s.ops, op)
		switch op := op.(type) {
		case *match:
			s.events.add(r, &op.spec.Where, op.fire)
			if op.spec.Clear != nil {
				s.events.add(r, op.spec.Clear, op.clear)
			}
			if op.spec.Device.Type != "" {
				s.snapshots.add(r, op)
			}
		case *count:
			if op.spec.Event != nil {
				s.events.add(r, &op.spec.Event.Where, op.event)
			} else {
				s.snapshots.add(r, op)
			}
		case *state, *change, *flap:
			s.snapshots.add(r, op)
		case *risk:
			s.risks.ops = append(s.risks.ops, op)
		case *absent, *await, *clone:
			s.heard.add(r, op)
		case *sequence:
			s.addSequence(op)
		default:
			return nil, fmt.Errorf("rule %s: kind %q is fed by nothing", r.ID, r.Kind)
		}
	}
	s.risks.bind(func(id string) Operator {
		if at, ok := s.byID[id]; ok {
			return s.ops[at]
		}
		return nil
	})
	s.events.seal()
	return s, nil
}

// addSequence shows a sequence the events, snapshots and heartbeats that its
// steps name.
func (s *Set) addSequence(op *sequence) {
	op.eachEvent(s.events.put)
	if op.devices {
		s.snapshots.add(op.rule, op)
	}
	if op.booted {
		s.heard.add(op.rule, op)
	}
}

// stepOnly is an operator of which only a part gets the record.
type stepOnly struct {
	Operator
	step func(Context, Input) []Verdict
}

// Step implements Operator.
func (s stepOnly) Step(ctx Context, in Input) []Verdict { return s.step(ctx, in) }

// Rules returns the rules, in the order given.
func (s *Set) Rules() []*rule.Rule { return s.rules }

// Step shows a record to the rules that it may concern. Verdicts come so that
// what fires stands before what is over, and causes before effects: one
// snapshot that shows a drive gone and its array degraded is one problem.
func (s *Set) Step(ctx Context, in Input) []Verdict {
	var out []Verdict
	if in.Header != nil {
		out = s.heard.step(out, ctx, in)
	}
	if in.Record.Snapshot != nil {
		s.snapshots.find(&ctx, &in)
		out = s.snapshots.step(out, ctx, in)
		out = s.risks.step(out, ctx, in)
		out = s.snapshots.replaced(out, ctx, in)
	}
	out = s.events.step(out, ctx, in)
	out = append(out, s.relabelled(ctx, in)...)
	order(out)
	return out
}

// Tick lets time pass in all rules.
func (s *Set) Tick(now time.Time) []Verdict {
	var out []Verdict
	for i := range s.ops {
		out = append(out, s.tick(i, now)...)
	}
	order(out)
	return out
}

func (s *Set) tick(at int, now time.Time) []Verdict {
	if s.Panicked != nil {
		defer func() {
			if v := recover(); v != nil {
				s.Panicked(s.rules[at].ID, v)
			}
		}()
	}
	return s.ops[at].Tick(now)
}

// Save returns what changed since the last Save, or everything.
func (s *Set) Save(dirtyOnly bool) []KeyedState {
	var out []KeyedState
	for _, op := range s.ops {
		out = append(out, op.Save(dirtyOnly)...)
	}
	return out
}

// Load puts states back, in the order in which they were saved. It returns how
// many it left out because their rule is gone or has another shape; an error
// is a state that cannot be read.
func (s *Set) Load(states []KeyedState) (left int, err error) {
	for i := range states {
		at, ok := s.byID[states[i].RuleID]
		if !ok {
			left++
			continue
		}
		switch err := s.ops[at].Load(states[i]); {
		case errors.Is(err, ErrShape):
			left++
		case err != nil:
			return left, err
		}
	}
	return left, nil
}

// Forget drops all that is known of a server.
func (s *Set) Forget(server record.ID) {
	for _, op := range s.ops {
		op.Forget(server)
	}
}

// order sorts verdicts: firing, then kept, then over; causes first.
func order(v []Verdict) {
	if len(v) < 2 {
		return
	}
	phase := func(k VerdictKind) int {
		switch k {
		case Firing:
			return 0
		case Resolved:
			return 2
		default:
			return 1
		}
	}
	slices.SortStableFunc(v, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(phase(a.Kind), phase(b.Kind)), cmp.Compare(Rank(a.Device), Rank(b.Device)))
	})
}

// Rank orders devices from cause to effect: a drive fails, so its array
// degrades, so its controller complains.
func Rank(device string) int {
	typ, _, _ := strings.Cut(device, " ")
	switch typ {
	case record.DevicePhysicalDrive:
		return 1
	case record.DeviceBattery:
		return 2
	case record.DeviceEnclosure:
		return 3
	case record.DeviceVirtualDrive:
		return 4
	case record.DeviceController:
		return 5
	default:
		return 0
	}
}

// FieldGroup is the field by which drives and virtual drives name their drive
// group.
const FieldGroup = "drive_group"

// groupOf names the parts that fail together: "c0/dg1", or "c0" where the
// drive group is not known. Only parts of a RAID controller have a group.
func groupOf(d *record.Device) string {
	if Rank(d.Type) == 0 {
		return ""
	}
	controller, _, _ := strings.Cut(d.Place, "/")
	if controller == "" {
		return ""
	}
	if n, ok := d.Field(FieldGroup).Int(); ok && n >= 0 {
		return controller + "/dg" + strconv.FormatInt(n, 10)
	}
	if s := d.Field(FieldGroup).Str(); s != "" && len(s) <= 4 && strings.Trim(s, "0123456789") == "" {
		return controller + "/dg" + s
	}
	return controller
}

// selects tells whether a rule is about a server.
func selects(s rule.Selector, f *ServerFacts) bool {
	return len(s) == 0 || s.Match(f.Label)
}

func sorted(keys []key) []key {
	slices.SortFunc(keys, compareKeys)
	return keys
}

// span writes a time span for a person: whole seconds, or days.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
