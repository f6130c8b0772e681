package operator

import (
	"slices"
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/expr"
	"nocturne/ruler/rule"
)

// judge tells whether conditions of a rule hold for a record. When they cannot
// be evaluated they do not hold, and failed says why.
func judge(r *rule.Rule, c *rule.Conditions, ctx *Context, in *Input) (ok bool, failed *Verdict) {
	if !fits(c, in.Record) {
		return false, nil
	}
	if c.If == nil {
		return true, nil
	}
	if !selects(r.Servers, &ctx.Server) {
		return false, nil // what a rule does not look at cannot fail
	}
	ok, err := c.If.Holds(&expr.Input{Record: in.Record, Header: in.Header, Label: ctx.Server.Label})
	if err != nil {
		v := newVerdict(r, Failed, ctx.Server.ID, ctx.Now)
		v.RecordID, v.Reason = in.RecordID, "the condition cannot be evaluated: "+rule.Clean(err.Error(), maxKept)
		return false, &v
	}
	return ok, nil
}

// fits tells whether all but the free condition holds.
func fits(c *rule.Conditions, r *record.Record) bool {
	switch {
	case len(c.Records) > 0 && !slices.Contains(c.Records, r.Name):
		return false
	case len(c.Records) == 0 && !isEvent(r):
		return false
	case len(c.Provider) > 0 && !containsFold(c.Provider, r.Attr(record.AttrProvider).Str()):
		return false
	case len(c.Channel) > 0 && !containsFold(c.Channel, r.Attr(record.AttrChannel).Str()):
		return false
	case len(c.Level) > 0 && !slices.Contains(c.Level, r.Attr(record.AttrLevel).Str()):
		return false
	case len(c.EventID)+len(c.EventIDs) > 0 && !containsID(c, r.Attr(record.AttrEventID)):
		return false
	}
	for i := range c.Attrs {
		if v := r.Attr(c.Attrs[i].Key); v.IsNull() || !slices.Contains(c.Attrs[i].Values, v.Text()) {
			return false
		}
	}
	for i := range c.More {
		if m := &c.More[i]; !m.Holds(r.Attr(m.Key).Text(), folds(m.Key)) {
			return false
		}
	}
	return true
}

// folds tells whether an attribute compares without regard to case.
func folds(attr string) bool { return attr == record.AttrProvider || attr == record.AttrChannel }

func isEvent(r *record.Record) bool {
	return r.Name == record.NameWindowsEvent || r.Name == record.NameJournal
}

func containsFold(list []string, s string) bool {
	for _, w := range list {
		if strings.EqualFold(w, s) {
			return true
		}
	}
	return false
}

func containsID(c *rule.Conditions, v record.Value) bool {
	n, ok := v.Int()
	if !ok {
		return false
	}
	for _, r := range c.EventIDs {
		if r.Low <= n && n <= r.High {
			return true
		}
	}
	return slices.Contains(c.EventID, n)
}
