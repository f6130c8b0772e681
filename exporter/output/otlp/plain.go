package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/encoding/protowire"

	"nocturne/exporter/output"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// Field numbers of opentelemetry-proto v1 (logs.proto, resource.proto,
// logs_service.proto).
const (
	fieldResourceLogs   = 1
	fieldResource       = 1
	fieldAttributes     = 1
	fieldKey            = 1
	fieldValue          = 2
	fieldString         = 1
	fieldPartialSuccess = 1
	fieldRejected       = 1
	fieldErrorMessage   = 2
)

// attrCategory tells foreign backends what the header of a frame tells ours.
const attrCategory = "nocturne.category"

// sendPlain posts an ExportLogsServiceRequest. Gap and base frames have no
// counterpart there: they are done when it is their turn.
func (o *Output) sendPlain(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	var raw []byte
	var verdicts []spool.Verdict
	for i := range frames {
		f := &frames[i]
		if f.Header.Kind == record.FrameData {
			var err error
			if raw, err = o.appendPlain(raw, f); err != nil {
				if i == 0 {
					return output.Answer{Verdicts: []spool.Verdict{spool.Refused}, Reasons: []string{err.Error()}}, nil
				}
				break
			}
		}
		verdicts = append(verdicts, spool.Stored)
	}
	if raw == nil {
		return output.Answer{Verdicts: verdicts}, nil
	}
	var body bytes.Buffer
	z, _ := gzip.NewWriterLevel(&body, gzip.BestSpeed) // a constant level
	_, _ = z.Write(raw)                                // to memory
	_ = z.Close()
	b, err := o.Post(ctx, "/v1/logs", "application/x-protobuf", "gzip", &body)
	var s *status
	if errors.As(err, &s) {
		switch s.code {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			// OTLP: these, and only these, may be sent again.
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
			return poison(frames[:len(verdicts)], s)
		}
	}
	if err != nil {
		return output.Answer{}, asFailure(err)
	}
	return plainAnswer(verdicts, b), nil
}

// appendPlain appends a frame's records as one ResourceLogs message, with the
// resource put in. Messages of the same kind may be concatenated in protobuf.
func (o *Output) appendPlain(dst []byte, f *spool.Frame) ([]byte, error) {
	var content []byte
	for b := f.Raw; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num != fieldResourceLogs || typ != protowire.BytesType {
			return dst, fmt.Errorf("records of frame %d: %w", f.Header.First, record.ErrMalformed)
		}
		v, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return dst, fmt.Errorf("records of frame %d: %w", f.Header.First, record.ErrMalformed)
		}
		content = append(content, v...)
		b = b[n+m:]
	}
	var resource []byte
	for _, a := range o.o.Resource {
		resource = appendAttr(resource, a.Key, a.Value.Text())
	}
	resource = appendAttr(resource, attrCategory, f.Header.Category.String())
	content = appendMessage(content, fieldResource, resource)
	return appendMessage(dst, fieldResourceLogs, content), nil
}

func appendAttr(b []byte, key, value string) []byte {
	v := protowire.AppendString(protowire.AppendTag(nil, fieldString, protowire.BytesType), value)
	a := protowire.AppendString(protowire.AppendTag(nil, fieldKey, protowire.BytesType), key)
	return appendMessage(b, fieldAttributes, appendMessage(a, fieldValue, v))
}

func appendMessage(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

// plainAnswer notes how many records the backend says it rejected; which, it
// does not say, and it must not be asked again.
func plainAnswer(verdicts []spool.Verdict, b []byte) output.Answer {
	a := output.Answer{Verdicts: verdicts}
	partial := subMessage(b, fieldPartialSuccess)
	for len(partial) > 0 {
		num, typ, n := protowire.ConsumeTag(partial)
		if n < 0 {
			break
		}
		partial = partial[n:]
		m := protowire.ConsumeFieldValue(num, typ, partial)
		if m < 0 {
			break
		}
		switch {
		case num == fieldRejected && typ == protowire.VarintType:
			a.Rejected, _ = protowire.ConsumeVarint(partial)
		case num == fieldErrorMessage && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(partial)
			a.Reasons = append(a.Reasons, shorten(v))
		}
		partial = partial[m:]
	}
	return a
}

func subMessage(b []byte, field protowire.Number) []byte {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		m := protowire.ConsumeFieldValue(num, typ, b)
		if m < 0 {
			return nil
		}
		if num == field && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b)
			return v
		}
		b = b[m:]
	}
	return nil
}
