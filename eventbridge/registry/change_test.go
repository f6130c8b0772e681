package registry

import (
	"errors"
	"testing"
	"time"

	"nocturne/internal/record"
)

func TestChanges(t *testing.T) {
	r, a, _, _ := start(t, Config{})
	got := enrol(t, r, token(t, r, TokenRequest{Labels: Labels{Site: "hq", Simulated: true}}), "db7", machine)
	s, err := r.SetLabels(t.Context(), got.ServerID, Labels{Site: "dc2", Owner: "net"}, nil, "kim")
	if err != nil || s.Labels != (Labels{Site: "dc2", Owner: "net", Simulated: true}) {
		t.Fatalf("labels %+v, %v", s, err)
	}
	names, rec := a.about(got.ServerID)
	if len(names) != 2 || names[1] != record.NameLabels || rec.Attr(record.AttrSite).Text() != "dc2" || rec.Attr(attrNote).Text() != "labels set by kim" || !rec.Attr(record.AttrSimulated).Bool() {
		t.Errorf("%v, %+v", names, rec)
	}
	// The same again changes nothing and says nothing.
	if _, err := r.SetLabels(t.Context(), got.ServerID, Labels{Site: "dc2", Owner: "net"}, nil, "kim"); err != nil {
		t.Error(err)
	}
	if _, err := r.SetLabels(t.Context(), got.ServerID, Labels{Site: "\x00"}, nil, ""); err == nil {
		t.Error("control character in a label accepted")
	}
	if _, err := r.Revoke(t.Context(), got.ServerID, ""); err != nil {
		t.Error(err)
	}
	if _, err := auth(t, r, got.Credential); denied(err) != ReasonRevoked {
		t.Errorf("after revoke: %v", err)
	}
	if _, err := r.Decommission(t.Context(), got.ServerID, ""); err != nil {
		t.Error(err)
	}
	if _, err := auth(t, r, got.Credential); denied(err) != ReasonDecommissioned {
		t.Errorf("after decommission: %v", err)
	}
	if _, err := r.Revoke(t.Context(), got.ServerID, ""); !errors.Is(err, ErrConflict) {
		t.Errorf("revoke a decommissioned server: %v", err)
	}
	if _, err := r.Decommission(t.Context(), newID(), ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("decommission nobody: %v", err)
	}
	if names, _ := a.about(got.ServerID); len(names) != 4 || names[2] != record.NameRevoked || names[3] != record.NameDecommissioned {
		t.Errorf("records %v", names)
	}
	ledger := record.NewLedger()
	for i := range a.frames {
		ledger.Observe(&a.frames[i].Header)
	}
	if n := ledger.Totals(); n.Missing != 0 || n.Duplicate != 0 || n.Received != 4 {
		t.Errorf("ledger %+v", n)
	}
	// A decommissioned machine that enrols is a new server.
	again := enrol(t, r, token(t, r, TokenRequest{}), "db7", machine)
	if s, _ := r.Server(again.ServerID); !s.SuccessionOf.IsZero() {
		t.Error("a succession of a decommissioned server is proposed")
	}
}

func TestSuccessionApproved(t *testing.T) {
	r, a, _, _ := start(t, Config{})
	old := enrol(t, r, token(t, r, TokenRequest{}), "db7", machine)
	neu := enrol(t, r, token(t, r, TokenRequest{}), "db7-new", machine)
	if neu.ServerID == old.ServerID {
		t.Fatal("the default gave the old id away")
	}
	o, _ := r.Server(old.ServerID)
	n, _ := r.Server(neu.ServerID)
	if o.SuccessionBy != neu.ServerID || n.SuccessionOf != old.ServerID || r.Totals().Successions != 1 {
		t.Fatalf("flags: %+v, %+v", o, n)
	}
	if _, rec := a.about(neu.ServerID); rec.Attr(attrSuccessionOf).Text() != old.ServerID.String() {
		t.Errorf("the proposal is not in the stream: %+v", rec)
	}
	// Until then both are servers of their own.
	for _, c := range []EnrolAnswer{old, neu} {
		if p, err := auth(t, r, c.Credential); err != nil || p.Server.ID != c.ServerID {
			t.Errorf("before the decision: %v", err)
		}
	}
	for range 2 { // approving twice is approving once
		if s, err := r.ApproveSuccession(t.Context(), neu.ServerID, "kim"); err != nil || s.ID != old.ServerID || s.Name != "db7-new" || !s.SuccessionBy.IsZero() {
			t.Fatalf("approve: %+v, %v", s, err)
		}
	}
	if _, err := auth(t, r, old.Credential); denied(err) != ReasonRevoked {
		t.Errorf("old credential: %v", err)
	}
	p, err := auth(t, r, neu.Credential)
	if err != nil || p.Server.ID != old.ServerID || !p.SpeaksFor(old.ServerID) || !p.SpeaksFor(neu.ServerID) {
		t.Errorf("new credential speaks for %+v, %v", p, err)
	}
	if names, rec := a.about(neu.ServerID); names[len(names)-1] != record.NameDecommissioned || rec.Attr(attrSuccessor).Text() != old.ServerID.String() {
		t.Errorf("merged server in the stream: %v", names)
	}
	if _, err := r.Decommission(t.Context(), neu.ServerID, ""); !errors.Is(err, ErrConflict) {
		t.Errorf("decommission a merged server: %v", err)
	}
	if _, err := r.Decommission(t.Context(), old.ServerID, ""); err != nil {
		t.Error(err)
	}
	if _, err := auth(t, r, neu.Credential); denied(err) != ReasonRevoked {
		t.Errorf("credential of a decommissioned successor: %v", err)
	}
}

func TestSuccessionRejected(t *testing.T) {
	r, _, _, _ := start(t, Config{})
	old := enrol(t, r, token(t, r, TokenRequest{}), "db7", machine)
	neu := enrol(t, r, token(t, r, TokenRequest{}), "db8", machine)
	if _, err := r.ApproveSuccession(t.Context(), old.ServerID, ""); !errors.Is(err, ErrConflict) {
		t.Errorf("approve the wrong way round: %v", err)
	}
	if _, err := r.RejectSuccession(t.Context(), neu.ServerID, "kim"); err != nil {
		t.Fatal(err)
	}
	if r.Totals().Successions != 0 {
		t.Error("still proposed")
	}
	for _, c := range []EnrolAnswer{old, neu} {
		if p, err := auth(t, r, c.Credential); err != nil || p.Server.ID != c.ServerID {
			t.Errorf("after the decision: %v", err)
		}
	}
	if _, err := r.RejectSuccession(t.Context(), neu.ServerID, ""); !errors.Is(err, ErrConflict) {
		t.Errorf("reject twice: %v", err)
	}
}

func TestSuccessionAutomatic(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Succession = Automatic
	for name, c := range map[string]struct {
		token    TokenRequest
		evidence Evidence
		heard    time.Duration // ago; 0 = never
		same     bool
	}{
		"silent":             {token: TokenRequest{Labels: Labels{Site: "hq"}}, evidence: machine, same: true},
		"silent for long":    {token: TokenRequest{Labels: Labels{Site: "hq"}}, evidence: machine, heard: time.Hour, same: true},
		"still alive":        {token: TokenRequest{Labels: Labels{Site: "hq"}}, evidence: machine, heard: time.Minute},
		"token of elsewhere": {token: TokenRequest{Labels: Labels{Site: "dc2"}}, evidence: machine},
		"simulated token":    {token: TokenRequest{Labels: Labels{Site: "hq", Simulated: true}}, evidence: machine},
		"board swapped":      {token: TokenRequest{Labels: Labels{Site: "hq"}}, evidence: Evidence{MachineID: machine.MachineID, SMBIOSUUID: "another-uuid"}},
		"placeholder":        {token: TokenRequest{Labels: Labels{Site: "hq"}}, evidence: Evidence{MachineID: machine.MachineID, SMBIOSUUID: "Not Settable"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, a, clock, _ := start(t, cfg)
			old := enrol(t, r, token(t, r, TokenRequest{Labels: Labels{Site: "hq", Rack: "r1"}}), "db7", machine)
			if c.heard > 0 {
				r.Seen(old.ServerID, clock.Now().Add(-c.heard))
			}
			text := token(t, r, c.token)
			neu := enrol(t, r, text, "db7b", c.evidence)
			if (neu.ServerID == old.ServerID) != c.same {
				t.Fatalf("old %s, new %s", old.ServerID, neu.ServerID)
			}
			if !c.same {
				if _, err := auth(t, r, old.Credential); err != nil {
					t.Errorf("the old server was shut out: %v", err)
				}
				return
			}
			if neu.Labels.Rack != "r1" || neu.Server != "db7b" {
				t.Errorf("answer %+v", neu)
			}
			if _, err := auth(t, r, old.Credential); denied(err) != ReasonRevoked {
				t.Errorf("old credential: %v", err)
			}
			if _, err := auth(t, r, neu.Credential); err != nil {
				t.Error(err)
			}
			if names, _ := a.about(old.ServerID); len(names) != 2 || names[1] != record.NameEnrolled {
				t.Errorf("records %v", names)
			}
			// The lost answer again; once it was heard, the token is used up.
			if c.heard == 0 {
				if again := enrol(t, r, text, "db7b", c.evidence); again.ServerID != old.ServerID {
					t.Errorf("asked again, got %s", again.ServerID)
				}
			}
			r.Seen(old.ServerID, clock.Now())
			if _, err := r.Enrol(t.Context(), address, EnrolRequest{Token: text, Name: "db7b", Evidence: c.evidence}); denied(err) != ReasonUsedUp {
				t.Errorf("the token works once more: %v", err)
			}
		})
	}
}

// Three clones: nobody can tell whose succession it would be.
func TestClonesAreNotSuccessions(t *testing.T) {
	cfg := DefaultConfig()
	r, _, _, _ := start(t, cfg)
	text := token(t, r, TokenRequest{Uses: 3})
	enrol(t, r, text, "a", machine)
	enrol(t, r, text, "b", machine)
	c := enrol(t, r, text, "c", machine)
	if s, _ := r.Server(c.ServerID); !s.SuccessionOf.IsZero() {
		t.Errorf("a succession of one of two clones is proposed: %+v", s)
	}
}

func TestEvidence(t *testing.T) {
	f := func(want bool, a, b Evidence, why string) {
		t.Helper()
		if a.Matches(b) != want {
			t.Errorf("%s: want %v", why, want)
		}
	}
	f(true, machine, machine, "the same")
	f(true, machine, Evidence{MachineID: machine.MachineID, SMBIOSUUID: "4c4c4544-0042-3510-8053-b4c04f4d3132"}, "Linux and Windows print UUIDs in another case")
	f(false, machine, Evidence{MachineID: machine.MachineID}, "no UUID")
	f(false, Evidence{}, Evidence{}, "nothing known")
	zero := Evidence{MachineID: "00000000000000000000000000000000", SMBIOSUUID: "00000000-0000-0000-0000-000000000000"}
	f(false, zero, zero, "zeros")
	ff := Evidence{MachineID: machine.MachineID, SMBIOSUUID: "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}
	f(false, ff, ff, "all ones")
	oem := Evidence{MachineID: machine.MachineID, SMBIOSUUID: "To Be Filled By O.E.M."}
	f(false, oem, oem, "placeholder")
	ami := Evidence{MachineID: machine.MachineID, SMBIOSUUID: "03000200-0400-0500-0006-000700080009"}
	f(false, ami, ami, "the UUID of thousands of boards")
}
