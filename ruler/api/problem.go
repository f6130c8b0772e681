package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"nocturne/ruler/store"
)

// problem is an error that the caller gets to see.
type problem struct {
	status int
	msg    string
	hint   string
	code   string // of a Problem
	allow  string // header Allow, for 405
	retry  int    // header Retry-After in seconds, for 429
	cause  error  // for our log only
	body   any    // answered instead of a Problem; it has its fields
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.msg + ": " + p.cause.Error()
	}
	return p.msg
}

func (p *problem) Unwrap() error { return p.cause }

func badRequest(hint, format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, msg: fmt.Sprintf(format, args...), hint: hint}
}

// explain turns an error into an answer. What we did not word ourselves is
// logged and not told.
func (s *server) explain(h http.Header, rt route, err error) (int, []byte) {
	var p *problem
	switch {
	case errors.As(err, &p):
		if p.cause != nil {
			s.log.Warn("request failed", "route", rt.name, "code", p.status, "err", err)
		}
	case errors.Is(err, store.ErrNotFound):
		p = &problem{status: http.StatusNotFound, msg: "no such " + rt.subject(), hint: "its id is in the answer of the list"}
	case errors.Is(err, context.Canceled):
		// nginx' number for a caller that hung up; nobody reads it but our counter.
		p = &problem{status: 499, msg: "the caller hung up", hint: "ask again"}
	case errors.Is(err, context.DeadlineExceeded):
		p = &problem{status: http.StatusGatewayTimeout, msg: "the answer took too long", hint: "ask for less, or again in a moment"}
	default:
		s.log.Error("request failed", "route", rt.name, "err", err)
		p = &problem{status: http.StatusInternalServerError, msg: "the ruler could not answer", hint: "its log says why"}
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retry))
	}
	var answer any = Problem{Error: p.msg, Hint: p.hint, Code: p.code}
	if p.body != nil {
		answer = p.body
	}
	body, err := encode(answer)
	if err != nil {
		body = []byte(`{"error":"the ruler could not answer","hint":"its log says why"}`)
	}
	return p.status, body
}

// encode writes JSON. Markup characters are escaped, so that even a browser
// that would guess finds none.
func encode(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

// Bounds of text that came from elsewhere, in bytes.
const (
	maxName = 256
	maxText = 4 << 10
	maxRaw  = 32 << 10
)

// clip cuts text to at most limit bytes at a character's boundary, and says so.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const mark = "…"
	n := limit - len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
