package ingest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"nocturne/internal/record"
	"nocturne/internal/stream"
)

const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// StandIn speaks for a source that does not number its records: it has an
// epoch of its own per start of the bridge and numbers them by server and
// category. What it frames is marked unassured: holes cannot be seen. It is
// safe for concurrent use.
type StandIn struct {
	producer string
	epoch    record.EpochRef
	last     sync.Map // sequence → *atomic.Uint64
}

// sequence is what a stand-in numbers.
type sequence struct {
	subject  record.ID
	category record.Category
}

// NewStandIn returns the producer "bridge/<bridge>/<source>".
func NewStandIn(bridge, source string, now time.Time) *StandIn {
	return &StandIn{producer: "bridge/" + bridge + "/" + source, epoch: record.EpochRef{Start: now.UnixNano(), Random: newRandom()}}
}

// take reserves n numbers of a server's sequence and returns the first.
func (s *StandIn) take(q sequence, n int) uint64 {
	v, ok := s.last.Load(q)
	if !ok {
		v, _ = s.last.LoadOrStore(q, new(atomic.Uint64))
	}
	return v.(*atomic.Uint64).Add(uint64(n)) - uint64(n) + 1
}

// logs takes plain OTLP logs from any OpenTelemetry agent.
func (h *Handler) logs(w *response, req *http.Request) error {
	p, err := h.authenticate(req)
	if err != nil {
		return err
	}
	media, err := contentType(req, typeProtobuf, typeJSON)
	if err != nil {
		return err
	}
	body, release, err := h.read(w, req, h.Config.MaxBodyBytes)
	defer release()
	if err != nil {
		return err
	}
	if e := req.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		free, err := h.reserve(req, h.Config.MaxUnpackedBytes)
		if err != nil {
			return err
		}
		defer free()
	}
	if body, err = unpack(req.Header.Get("Content-Encoding"), body, h.Config.MaxUnpackedBytes); err != nil {
		return err
	}
	records, mended, err := decodeLogs(media, body)
	if errors.Is(err, errShape) {
		return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "send smaller batches of flatter records", "%v", err)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, reasonDecode, "send an OTLP ExportLogsServiceRequest", "decode OTLP logs: %v", err)
	}
	for what, n := range mended {
		h.Metrics.mended[what].Add(float64(n))
	}
	h.Metrics.OTLP.In(uint64(len(records)))
	kept := records[:0]
	for i := range records {
		if record.RecordSize(&records[i]) <= record.MaxRecord {
			kept = append(kept, records[i])
		}
	}
	tooLarge := len(records) - len(kept)
	h.Metrics.OTLP.Drop(reasonTooLarge, uint64(tooLarge))
	if err := h.storeLogs(req.Context(), p.Server.ID, kept); err != nil {
		return refuse(http.StatusServiceUnavailable, reasonBusy, hintBusy, "%v", err)
	}
	return answerLogs(w, media, tooLarge)
}

// storeLogs frames records and puts them into the stream: all or an error.
func (h *Handler) storeLogs(ctx context.Context, subject record.ID, recs []record.Record) error {
	if len(recs) == 0 {
		return nil
	}
	now := h.Now().UnixNano()
	frames, err := h.otlp.Frames(subject, record.EventLog, recs, now)
	if err == nil {
		_, err = h.Gatherer.Submit(ctx, stream.Partition(subject), frames)
	}
	if err != nil {
		h.Metrics.OTLP.Drop(dropBusy, uint64(len(recs)))
		return err
	}
	h.Metrics.OTLP.Out(uint64(len(recs)))
	h.Gatherer.Accepted(uint64(len(frames)))
	return nil
}

// chunkBytes bounds the records of one frame before packing, so that even
// records that cannot be packed fit a frame.
const chunkBytes = record.MaxPacked - 4096

// Frames makes frames of records, each below every limit.
func (s *StandIn) Frames(subject record.ID, category record.Category, recs []record.Record, now int64) ([]Frame, error) {
	var out []Frame
	for len(recs) > 0 {
		n, size := 0, 64
		for n < len(recs) && n < record.MaxCount {
			size += record.RecordSize(&recs[n]) + 16
			if n > 0 && size > chunkBytes {
				break
			}
			n++
		}
		frame, err := record.EncodeData(record.Header{
			Producer: s.producer, Subject: subject, Category: category, Epoch: record.Epoch{EpochRef: s.epoch},
			First: s.take(sequence{subject, category}, n), Sent: now, Unassured: true,
		}, recs[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, Frame{Bytes: frame, Received: now, Records: uint64(n)})
		recs = recs[n:]
	}
	return out, nil
}

// answerLogs answers as OTLP/HTTP wants it, in the request's encoding.
func answerLogs(w http.ResponseWriter, media string, tooLarge int) error {
	resp := plogotlp.NewExportResponse()
	if tooLarge > 0 {
		resp.PartialSuccess().SetRejectedLogRecords(int64(tooLarge))
		resp.PartialSuccess().SetErrorMessage("log records of more than 512 KiB are not taken")
	}
	b, err := resp.MarshalProto()
	if media == typeJSON {
		b, err = resp.MarshalJSON()
	}
	if err != nil {
		return refuse(http.StatusInternalServerError, reasonInternal, "this is a bug: please report it", "encode answer: %v", err)
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b) // the client is gone: nothing to do about it
	return nil
}
