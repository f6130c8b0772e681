package ingest

import (
	"encoding/json"
	"net/http"
	"time"

	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// maxJSON bounds the small JSON bodies.
const maxJSON = 64 << 10

// HelloRequest is what an exporter says when it connects.
type HelloRequest struct {
	Producer string `json:"producer"`
	Epoch    struct {
		Start  int64  `json:"start"`
		Random uint64 `json:"random"`
	} `json:"epoch"`
	Last []Place `json:"last"` // the last answer it got, if any
}

// Place is a position in the stream.
type Place struct {
	Incarnation string `json:"incarnation"`
	Partition   int    `json:"partition"`
	Entry       uint64 `json:"entry"`
}

// HelloAnswer tells the exporter where the stream stands.
type HelloAnswer struct {
	Bridge      string `json:"bridge"`
	Incarnation string `json:"incarnation"`
	Partition   int    `json:"partition"`
	Head        uint64 `json:"head"`
	// Rewind: the stream has lost what it acknowledged. Send everything that
	// is still in the spool again, at this pace.
	Rewind bool   `json:"rewind"`
	Reason string `json:"reason,omitempty"`
	Pace   int    `json:"pace_frames_per_s"`
	// ServerID is who the credential speaks for. It differs from the id in the
	// credential after a succession was approved.
	ServerID record.ID `json:"server_id"`
	Server   string    `json:"server"`
}

// Why an exporter is told to rewind.
const (
	rewindIncarnation = "the stream was made anew"
	rewindHead        = "the stream has lost its newest entries"
)

func (h *Handler) readJSON(w http.ResponseWriter, req *http.Request, v any) error {
	if _, err := contentType(req, "application/json"); err != nil {
		return err
	}
	if err := noEncoding(req); err != nil {
		return err
	}
	body, release, err := h.read(w, req, maxJSON)
	defer release()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return refuse(http.StatusBadRequest, reasonDecode, "send one JSON object", "decode JSON: %v", err)
	}
	return nil
}

// hello tells an exporter whether what it believes stored is still there.
func (h *Handler) hello(w *response, req *http.Request) error {
	p, err := h.authenticate(req)
	if err != nil {
		return err
	}
	var q HelloRequest
	if err := h.readJSON(w, req, &q); err != nil {
		return err
	}
	subject := p.Server.ID
	if !p.Alias.IsZero() && q.Producer == record.ExporterProducer(p.Alias) {
		subject = p.Alias
	}
	if q.Producer != record.ExporterProducer(subject) {
		return refuse(http.StatusForbidden, reasonIdentity, "say producer "+record.ExporterProducer(p.Server.ID), "producer %.80q is not who the credential speaks for", q.Producer)
	}
	part := stream.Partition(subject)
	head, err := h.Stream.Head(req.Context(), part)
	if err != nil {
		return refuse(http.StatusServiceUnavailable, reasonBusy, hintBusy, "the stream does not answer: %v", err)
	}
	a := HelloAnswer{
		Bridge: h.BridgeID, Incarnation: head.Incarnation, Partition: part, Head: head.Entry,
		Pace: h.Config.PaceFramesPerS, ServerID: p.Server.ID, Server: p.Server.Name,
	}
	for _, last := range q.Last {
		a.Rewind, a.Reason = rewind(last, part, head)
		if a.Rewind {
			break
		}
	}
	h.Metrics.hellos.Inc()
	if a.Rewind {
		h.Metrics.rewinds.Inc()
		h.Log.Warn("server is told to rewind", "host", p.Server.Name, "server_id", subject, "reason", a.Reason, "head", head.Entry)
	}
	answer(w, http.StatusOK, a)
	return nil
}

// rewind tells whether the stream lost what it acknowledged at last. Positions
// in other partitions say nothing: a server under another id was there.
func rewind(last Place, part int, head stream.Position) (bool, string) {
	switch {
	case last.Partition != part || last.Entry == 0 || last.Incarnation == "":
		return false, ""
	case last.Incarnation != head.Incarnation:
		return true, rewindIncarnation
	case last.Entry > head.Entry:
		return true, rewindHead
	default:
		return false, ""
	}
}

// enrol lets a new server join.
func (h *Handler) enrol(w *response, req *http.Request) error {
	// Whoever is not known yet must not keep a place by sending slowly.
	within := func(d time.Duration) error {
		return http.NewResponseController(w).SetReadDeadline(time.Now().Add(d))
	}
	if err := within(strangerTimeout); err != nil {
		return refuse(http.StatusInternalServerError, reasonInternal, "this is a bug: please report it", "set read deadline: %v", err)
	}
	var q registry.EnrolRequest
	if err := h.readJSON(w, req, &q); err != nil {
		return err
	}
	// The deadline ends the request's context too: give the answer its time.
	if err := within(h.Config.ReadTimeout); err != nil {
		return refuse(http.StatusInternalServerError, reasonInternal, "this is a bug: please report it", "set read deadline: %v", err)
	}
	a, err := h.Registry.Enrol(req.Context(), req.RemoteAddr, q)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	answer(w, http.StatusOK, a)
	return nil
}
