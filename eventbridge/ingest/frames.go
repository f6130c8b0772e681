package ingest

import (
	"context"
	"math"
	"net/http"
	"time"

	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// FramesType is the content type of concatenated frames.
const FramesType = "application/x-nocturne-frames"

// Result is the answer about one frame.
type Result struct {
	Status      string `json:"status"` // stored, refused, busy
	Incarnation string `json:"incarnation,omitempty"`
	Partition   int    `json:"partition"`
	Entry       uint64 `json:"entry,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Error       string `json:"error,omitempty"`
}

// FramesAnswer answers a request with frames, in the order of the request. It
// is shorter than the request when the bytes could not be told apart any more.
type FramesAnswer struct {
	Results []Result `json:"results"`
}

// frames takes concatenated frames.
func (h *Handler) frames(w *response, req *http.Request) error {
	p, err := h.authenticate(req)
	if err != nil {
		return err
	}
	if _, err := contentType(req, FramesType); err != nil {
		return err
	}
	if err := noEncoding(req); err != nil {
		return err
	}
	body, release, err := h.read(w, req, h.Config.MaxBodyBytes)
	defer release()
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return refuse(http.StatusBadRequest, reasonEmpty, "send at least one frame", "the body is empty")
	}
	h.Metrics.bytes.Add(float64(len(body)))
	v := h.split(body, p)
	if v.foreign > 0 && v.foreign == len(v.results) {
		return refuse(http.StatusForbidden, reasonIdentity, "frames must be about server "+p.Server.ID.String()+" and from its exporter; enrol the other server by itself",
			"every frame speaks for another server or producer")
	}
	busy := h.store(req.Context(), v)
	for i := range v.results {
		h.Metrics.frames[v.results[i].Status].Inc()
	}
	if busy == len(v.results) {
		return refuse(http.StatusServiceUnavailable, reasonBusy, hintBusy, "the stream did not store the frames: busy")
	}
	answer(w, http.StatusOK, FramesAnswer{v.results})
	return nil
}

// verdicts are what was decided about the frames of a request.
type verdicts struct {
	results []Result
	good    [stream.Partitions][]Frame
	index   [stream.Partitions][]int // of good, in results
	foreign int
}

// split tells the frames apart and judges each one.
func (h *Handler) split(body []byte, p registry.Principal) *verdicts {
	v, now := &verdicts{}, h.Now().UnixNano()
	refused := func(reason string, records uint64, err string) {
		h.Metrics.rejected[reason].Inc()
		h.Metrics.Ingest.Drop(reason, records)
		v.results = append(v.results, Result{Status: StatusRefused, Reason: reason, Error: err})
	}
	for len(body) > 0 {
		head, n, err := record.DecodeHeader(body)
		if err != nil { // where the next frame begins is not known
			refused(record.RejectOf(err).String(), 0, err.Error())
			break
		}
		h.Metrics.Ingest.In(uint64(head.Count))
		if len(v.results) >= h.Config.MaxFrames {
			refused(frameLimit, uint64(head.Count), "more frames than a request may hold: send the rest in another one")
			v.results[len(v.results)-1].Status = StatusBusy // a producer lets go of what is refused
			break
		}
		frame := body[:min(n, len(body))]
		body = body[len(frame):]
		if head, err = record.CheckFrame(frame); err != nil {
			refused(record.RejectOf(err).String(), uint64(head.Count), err.Error())
			continue
		}
		if !p.MaySend(&head) {
			v.foreign++
			refused(frameIdentity, uint64(head.Count), "the credential speaks for server "+p.Server.ID.String()+" and its exporter only")
			continue
		}
		skew := Skew(now, head.Sent)
		h.Metrics.skew.Observe(math.Abs(time.Duration(skew).Seconds()))
		part := stream.Partition(head.Subject)
		v.good[part] = append(v.good[part], Frame{Bytes: frame, Received: now, Skew: skew, Records: uint64(head.Count)})
		v.index[part] = append(v.index[part], len(v.results))
		v.results = append(v.results, Result{Partition: part})
	}
	return v
}

// store submits the good frames and fills in their results. It returns how
// many frames are to be sent again.
func (h *Handler) store(ctx context.Context, v *verdicts) (busy int) {
	for part, frames := range v.good {
		if len(frames) == 0 {
			continue
		}
		out, err := h.Gatherer.Submit(ctx, part, frames)
		var stored uint64
		for i, o := range out {
			r := &v.results[v.index[part][i]]
			if o.Stored {
				r.Status, r.Incarnation, r.Entry = StatusStored, o.Position.Incarnation, o.Position.Entry
				h.Metrics.Ingest.Out(frames[i].Records)
				stored++
				continue
			}
			r.Status, r.Reason, r.Error = StatusBusy, reasonBusy, err.Error()
			h.Metrics.Ingest.Drop(dropBusy, frames[i].Records)
			busy++
		}
		h.Gatherer.Accepted(stored)
	}
	return busy
}

// Skew is how far the sender's clock is behind ours, without overflow.
func Skew(received, sent int64) int64 {
	switch d := received - sent; {
	case sent == 0:
		return 0
	case received > sent && d < 0:
		return math.MaxInt64
	case received < sent && d > 0:
		return math.MinInt64
	default:
		return d
	}
}
