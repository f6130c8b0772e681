package amqp

import (
	"context"
	"errors"
	"path"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/ingest/compat"
	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
)

// takeCompat returns what stores the old agent's messages of a kind, buries what is
// none, and acknowledges both.
func (in *Ingest) takeCompat(kind compat.Kind) func(context.Context, *session, []rabbitmq.Delivery) error {
	return func(ctx context.Context, s *session, batch []rabbitmq.Delivery) error {
		in.Metrics.Compat.In(uint64(len(batch)))
		var good []subjectFrame
		var bad []grave
		waiting := len(batch)
		drop := func(reason string, n int) {
			in.Metrics.Compat.Drop(reason, uint64(n))
			waiting -= n
		}
		err := func() error {
			for i := range batch {
				f, reason, err := in.translate(ctx, kind, batch[i].Body)
				switch {
				case reason == "" && err != nil:
					return err
				case reason == dropDecode:
					bad = append(bad, grave{&batch[i], reason, err.Error(), 1})
					continue
				case reason != "":
					drop(reason, 1)
					in.Log.Debug("message of the old agent is not taken", "kind", kind, "reason", reason, "err", err)
					continue
				}
				good = append(good, f...)
			}
			if err := in.store(ctx, good); err != nil {
				return err
			}
			err := acknowledge(batch, bad)
			stored := waiting - len(bad)
			in.Metrics.Compat.Out(uint64(stored))
			in.Metrics.kinds[string(kind)].Add(float64(stored))
			waiting -= stored
			if err != nil {
				return err
			}
			return in.buryAll(ctx, s, bad, func(g *grave) { drop(g.reason, 1) })
		}()
		drop(dropReturned, waiting) // none without an error
		return err
	}
}

// translate makes a frame of a message. A reason other than "" says why it will
// never be taken; an error without a reason: not now.
func (in *Ingest) translate(ctx context.Context, kind compat.Kind, body []byte) ([]subjectFrame, string, error) {
	now := in.Now()
	m, err := compat.Decode(kind, body, now)
	if err != nil {
		return nil, dropDecode, err
	}
	host := registry.HostKey(m.Host)
	if !in.allowed(host) {
		return nil, dropHost, errors.New("no pattern in compat.hosts allows host " + host)
	}
	if s := m.Record.Snapshot; s != nil && len(s.Sections) == 0 {
		return nil, dropEmpty, errors.New("nothing was observed")
	}
	if record.RecordSize(&m.Record) > record.MaxRecord {
		return nil, dropTooLarge, errors.New("the record is larger than 512 KiB")
	}
	id, err := in.admitted(ctx, host)
	for reason, is := range map[string]error{dropEnrolled: registry.ErrEnrolled, dropRefused: registry.ErrRefused, dropLimit: registry.ErrTooMany} {
		if errors.Is(err, is) {
			return nil, reason, err
		}
	}
	if err != nil {
		return nil, "", err
	}
	frames, err := in.standIn.Frames(id, m.Category, []record.Record{m.Record}, now.UnixNano())
	if err != nil {
		return nil, dropDecode, err
	}
	in.Registry.Seen(id, now)
	return []subjectFrame{{ingest.Frame{Bytes: frames[0].Bytes, Received: now.UnixNano(), Records: 1}, id}}, "", nil
}

// admitted asks the register until it answers.
func (in *Ingest) admitted(ctx context.Context, host string) (record.ID, error) {
	for {
		id, err := in.Registry.Compat(ctx, host, in.Config.Compat.MaxServers)
		if err == nil || ctx.Err() != nil || !errors.Is(err, registry.ErrBusy) {
			return id, err
		}
		sleep(ctx, streamWait)
	}
}

func (in *Ingest) allowed(host string) bool {
	for _, pattern := range in.Config.Compat.Hosts {
		if ok, err := path.Match(pattern, host); ok && err == nil {
			return true
		}
	}
	return false
}
