package app

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxProblems are remembered, the oldest is forgotten first.
const maxProblems = 10

// ProblemStatus is a warning or an error that was logged, and how often.
type ProblemStatus struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int       `json:"count"`
	Level string    `json:"level"`
	Text  string    `json:"text"`
	About string    `json:"about,omitempty"` // the source or output
	Err   string    `json:"err,omitempty"`
}

// problems remembers the last warnings. It is safe for concurrent use.
type problems struct {
	mu   sync.Mutex
	last []ProblemStatus
}

func (p *problems) list() []ProblemStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]ProblemStatus(nil), p.last...)
}

func (p *problems) add(n ProblemStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.last {
		if o.Text == n.Text && o.About == n.About {
			n.First, n.Count = o.First, o.Count+1
			p.last = append(append(p.last[:i:i], p.last[i+1:]...), n)
			return
		}
	}
	if p.last = append(p.last, n); len(p.last) > maxProblems {
		p.last = p.last[1:]
	}
}

// remembering is a slog.Handler that passes everything on and keeps warnings.
type remembering struct {
	slog.Handler
	to    *problems
	about string
}

// Handle implements slog.Handler.
func (r remembering) Handle(ctx context.Context, l slog.Record) error {
	if l.Level >= slog.LevelWarn {
		n := ProblemStatus{First: l.Time.UTC(), Last: l.Time.UTC(), Count: 1, Level: l.Level.String(), Text: l.Message, About: r.about}
		l.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "err":
				n.Err = a.Value.String()
			case "source", "output":
				n.About = a.Value.String()
			}
			return true
		})
		r.to.add(n)
	}
	if !r.Handler.Enabled(ctx, l.Level) {
		return nil
	}
	return r.Handler.Handle(ctx, l)
}

// WithAttrs implements slog.Handler.
func (r remembering) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "source" || a.Key == "output" {
			r.about = a.Value.String()
		}
	}
	r.Handler = r.Handler.WithAttrs(attrs)
	return r
}

// WithGroup implements slog.Handler.
func (r remembering) WithGroup(name string) slog.Handler {
	r.Handler = r.Handler.WithGroup(name)
	return r
}

// Enabled implements slog.Handler.
func (r remembering) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || r.Handler.Enabled(ctx, l)
}
