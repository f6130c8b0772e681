package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Attributes of the registry's records beside those of package record.
const (
	attrState        = "server.state"
	attrNote         = "server.note"
	attrSuccessionOf = "server.succession_of"
	attrSuccessionBy = "server.succession_by"
	attrSuccessor    = "server.successor"
	attrSerial       = "reported.serial"
)

const (
	announceEvery = 10 * time.Second
	owedFor       = 15 * time.Second // older promises are kept by whichever bridge sees them
	announcers    = 16
	keepTokens    = 30 * 24 * time.Hour // after they expired
)

// announce appends the records that are owed about a server and strikes them
// out. It wraps ErrBusy when the stream does not have them.
func (r *Registry) announce(ctx context.Context, id record.ID) error {
	defer r.lock("announce." + id.String())()
	e := r.find(id)
	if e == nil || len(e.server.Load().Owed) == 0 {
		return nil
	}
	s := e.server.Load()
	frames := make([][]byte, len(s.Owed))
	for i := range s.Owed {
		f, err := s.frame(&s.Owed[i], r.now())
		if err != nil {
			return fmt.Errorf("announce server %s: %w", id, err)
		}
		frames[i] = f
	}
	r.Metrics.announceIn.Add(float64(len(frames)))
	pos, err := r.append.AppendFrames(ctx, id, frames...)
	if err != nil {
		r.Metrics.announceFailed.Add(float64(len(frames)))
		return fmt.Errorf("announce server %s: %w: %w", id, ErrBusy, err)
	}
	r.Metrics.announceOut.Add(float64(len(frames)))
	done := s.Owed
	if _, err := r.update(ctx, id, func(s *Server) error {
		s.Owed = slices.DeleteFunc(s.Owed, func(e Event) bool {
			return slices.ContainsFunc(done, func(d Event) bool { return d.Bridge == e.Bridge && d.Seq == e.Seq })
		})
		s.Announced = Announced{At: r.now().UTC(), Incarnation: pos.Incarnation}
		return nil
	}); err != nil {
		// The stream has them; the loop will append them once more and the
		// ledgers will know them.
		r.log.Warn("records are in the stream but still marked as owed", "server_id", id, "err", err)
	}
	return nil
}

// frame makes the frame of one record that is owed. Made again after a crash
// it has the same sequence, epoch and number.
func (s *Server) frame(e *Event, now time.Time) ([]byte, error) {
	q := s.Sequences[e.Bridge]
	h := record.Header{
		Producer: "bridge/" + e.Bridge + "/registry", Subject: s.ID, Category: record.Agent,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: q.Start, Random: q.Random}},
		First: e.Seq, Sent: now.UnixNano(),
	}
	return record.EncodeData(h, []record.Record{s.record(e)})
}

func (s *Server) record(e *Event) record.Record {
	r := record.Record{Time: e.At, Observed: e.At, Severity: record.Info, Name: e.Name, Body: s.Name + ": " + e.Note}
	add := func(key, value string) {
		if value != "" {
			r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: record.String(value)})
		}
	}
	// Place labels are stated even when empty: that takes an old one away.
	for _, a := range [...]struct{ key, value string }{
		{record.AttrServer, s.Name}, {record.AttrSite, s.Labels.Site}, {record.AttrRack, s.Labels.Rack},
		{record.AttrRole, s.Labels.Role}, {record.AttrOwner, s.Labels.Owner}, {attrState, string(s.State)},
	} {
		r.Attrs = append(r.Attrs, record.Attr{Key: a.key, Value: record.String(a.value)})
	}
	r.Attrs = append(r.Attrs, record.Attr{Key: record.AttrSimulated, Value: record.Bool(s.Labels.Simulated)})
	if s.Address.IsValid() {
		add(record.AttrAddress, s.Address.String())
	}
	add(record.AttrLabelsFrom, s.From.String())
	add(record.AttrName, s.Name)
	add(record.AttrMachineID, s.Evidence.MachineID)
	add(record.AttrSMBIOSUUID, s.Evidence.SMBIOSUUID)
	add(attrSerial, s.Evidence.Serial)
	add(record.AttrReportedSite, s.Reported.Site)
	add(record.AttrReportedRack, s.Reported.Rack)
	add(record.AttrReportedRole, s.Reported.Role)
	add(record.AttrReportedOwner, s.Reported.Owner)
	add(record.AttrOSName, s.OS) // a product; its type comes with heartbeats
	add(record.AttrExporterVersion, s.ExporterVersion)
	add(attrNote, e.Note)
	add(record.AttrIdentifiedBy, s.IdentifiedBy)
	for key, id := range map[string]record.ID{attrSuccessionOf: s.SuccessionOf, attrSuccessionBy: s.SuccessionBy, attrSuccessor: s.Successor} {
		if !id.IsZero() {
			add(key, id.String())
		}
	}
	return r
}

// announceLoop keeps the promises that a crash or a busy stream left behind
// and states every server again from time to time.
func (r *Registry) announceLoop(ctx context.Context) {
	first := true
	for ctx.Err() == nil {
		r.announceDue(ctx, first)
		r.moved(ctx)
		r.sweepTokens(ctx)
		first = false
		sleep(ctx, announceEvery)
	}
}

func (r *Registry) announceDue(ctx context.Context, all bool) {
	incarnations := map[int]string{}
	var g errgroup.Group
	g.SetLimit(announcers)
	for _, s := range r.all() {
		if ctx.Err() != nil {
			break
		}
		if len(s.Owed) > 0 {
			if all || r.now().Sub(s.Owed[0].At) > owedFor {
				g.Go(func() error { return r.announce(ctx, s.ID) })
			}
			continue
		}
		p := stream.Partition(s.ID)
		inc, ok := incarnations[p]
		if !ok {
			var err error
			if inc, err = r.append.Incarnation(ctx, s.ID); err != nil {
				r.log.Warn("stream did not say which one it is, servers are stated again later", "partition", p, "err", err)
				break
			}
			incarnations[p] = inc
		}
		if s.due(inc, r.now(), r.cfg.RestateEvery) {
			g.Go(func() error { return r.restate(ctx, s.ID, inc) })
		}
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		r.log.Warn("some servers could not be stated to the stream, trying again", "err", err)
	}
}

// due tells whether the stream must hear of the server again. Servers spread
// over an eighth of the interval by their id.
func (s *Server) due(incarnation string, now time.Time, every time.Duration) bool {
	if s.State != Active && s.State != Revoked {
		return false
	}
	spread := every / 8 / 256 * time.Duration(s.ID[0])
	return s.Announced.Incarnation != incarnation || now.Sub(s.Announced.At) > every-spread
}

func (r *Registry) restate(ctx context.Context, id record.ID, incarnation string) error {
	return r.change(ctx, id, func(s *Server) error {
		if !s.due(incarnation, r.now(), r.cfg.RestateEvery) || len(s.Owed) > 0 {
			return errUnchanged // another bridge was faster
		}
		name := record.NameLabels
		if s.State == Revoked {
			name = record.NameRevoked
		}
		s.promise(r.bridge, name, "stated again", r.now())
		return nil
	})
}

// sweepTokens forgets join tokens that expired long ago.
func (r *Registry) sweepTokens(ctx context.Context) {
	for _, t := range r.Tokens() {
		if r.now().Sub(t.Expires) <= keepTokens {
			continue
		}
		if err := r.kv.Purge(ctx, tokenKey+t.ID); err != nil {
			r.log.Warn("expired join token could not be forgotten", "token", t.ID, "err", err)
			return
		}
		r.mu.Lock()
		delete(r.tokens, t.ID)
		r.mu.Unlock()
	}
}
