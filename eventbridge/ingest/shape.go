package ingest

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"nocturne/internal/record"
)

// The OTLP decoder builds whatever it is told to: two bytes become an empty
// log record of some hundred, and a few megabytes of nested lists a recursion
// that ends the process, not the request. So the shape is looked at first.

// Limits of the shape of an OTLP request.
const (
	maxLogRecords = record.MaxCount
	maxNodes      = 1 << 20 // messages of any kind
	maxNesting    = 64      // of values
	maxJSONDepth  = 4*maxNesting + 16
)

var errShape = errors.New("more parts than a request may have")

// message says what a protobuf message of OTLP logs holds.
type message struct {
	parts map[protowire.Number]*message
	value bool // an AnyValue: nests without end
	log   bool
}

// otlpShape is ExportLogsServiceRequest (logs_service.proto, logs.proto,
// common.proto, resource.proto of opentelemetry-proto v1).
var otlpShape = func() *message {
	anyValue := &message{value: true}
	keyValue := &message{parts: map[protowire.Number]*message{2: anyValue}}
	anyValue.parts = map[protowire.Number]*message{
		5: {parts: map[protowire.Number]*message{1: anyValue}},
		6: {parts: map[protowire.Number]*message{1: keyValue}},
	}
	attributes := func(n protowire.Number) *message {
		return &message{parts: map[protowire.Number]*message{n: keyValue, 3: {}}}
	}
	logRecord := &message{log: true, parts: map[protowire.Number]*message{5: anyValue, 6: keyValue}}
	scopeLogs := &message{parts: map[protowire.Number]*message{1: attributes(3), 2: logRecord}}
	resourceLogs := &message{parts: map[protowire.Number]*message{1: attributes(1), 2: scopeLogs, 1000: {}}}
	return &message{parts: map[protowire.Number]*message{1: resourceLogs}}
}()

type shapeCount struct{ nodes, logs int }

// checkShape walks a protobuf request without building anything.
func checkShape(b []byte) error {
	var c shapeCount
	return c.walk(b, otlpShape, 0)
}

func (c *shapeCount) walk(b []byte, m *message, depth int) error {
	c.nodes++
	if m.value {
		depth++
	}
	if m.log {
		c.logs++
	}
	switch {
	case c.nodes > maxNodes:
		return fmt.Errorf("%w: %d messages", errShape, maxNodes)
	case c.logs > maxLogRecords:
		return fmt.Errorf("%w: %d log records", errShape, maxLogRecords)
	case depth > maxNesting:
		return fmt.Errorf("%w: values nested %d deep", errShape, maxNesting)
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		part := m.parts[num]
		if typ != protowire.BytesType || part == nil {
			if typ == protowire.StartGroupType {
				return errors.New("protobuf groups are not part of OTLP")
			}
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := c.walk(v, part, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// checkJSONShape is the same for JSON, by its brackets and commas.
func checkJSONShape(b []byte) error {
	nodes, depth, inString := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			nodes++
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',':
			nodes++
		}
		if nodes > maxNodes {
			return fmt.Errorf("%w: %d values", errShape, maxNodes)
		}
		if depth > maxJSONDepth {
			return fmt.Errorf("%w: values nested %d deep", errShape, maxJSONDepth)
		}
	}
	return nil
}
