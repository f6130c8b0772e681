package ruler

import (
	"encoding/json"
	"net/http"
)

// Problem is an error as the ruler's API words it, so that the pages show one
// kind: what went wrong, and what to do.
type Problem struct {
	Status int
	Msg    string
	Hint   string
}

// NewProblem makes one.
func NewProblem(status int, msg, hint string) *Problem { return &Problem{status, msg, hint} }

func (p *Problem) Error() string { return p.Msg }

// Write answers with it.
func (p *Problem) Write(w http.ResponseWriter) {
	// Two strings always encode.
	body, _ := json.Marshal(struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}{p.Msg, p.Hint})
	SetHeaders(w.Header())
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller hung up: nobody is left to tell
}

// SetHeaders makes sure that no browser takes an answer for a page, or keeps it.
func SetHeaders(h http.Header) {
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
