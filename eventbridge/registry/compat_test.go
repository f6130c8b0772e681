package registry

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// A key id names one credential; what it may do is what the credential may do.
func TestSigner(t *testing.T) {
	r, _, _, _ := start(t, DefaultConfig())
	a := enrol(t, r, token(t, r, TokenRequest{}), "db7", Evidence{})
	s, err := r.Server(a.ServerID)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(s.Credentials[0].Hash)
	if err != nil {
		t.Fatal(err)
	}
	keyID := record.KeyID(a.ServerID, want)
	p, key, err := r.Signer(t.Context(), keyID)
	if err != nil || string(key) != string(want) || !p.SpeaksFor(a.ServerID) {
		t.Errorf("%+v, %x, %v", p, key, err)
	}
	if !p.MaySend(&record.Header{Subject: a.ServerID, Producer: record.ExporterProducer(a.ServerID)}) {
		t.Error("it may not send for its server")
	}
	for name, h := range map[string]record.Header{
		"another server": {Subject: record.ID{9}, Producer: record.ExporterProducer(record.ID{9})},
		"the register":   {Subject: a.ServerID, Producer: "bridge/b1/registry"},
	} {
		if p.MaySend(&h) {
			t.Errorf("it may send for %s", name)
		}
	}
	for id, reason := range map[string]Reason{
		"nonsense":                         ReasonMalformed,
		record.KeyID(record.ID{9}, want):   ReasonUnknown,
		record.KeyID(a.ServerID, want[1:]): ReasonWrongSecret,
	} {
		if _, key, err := r.Signer(t.Context(), id); denied(err) != reason || key != nil {
			t.Errorf("%s: %v, want %s", id, err, reason)
		}
	}
	if _, err := r.Revoke(t.Context(), a.ServerID, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Signer(t.Context(), keyID); denied(err) != ReasonRevoked {
		t.Errorf("after the revoke: %v", err)
	}
}

// What another bridge has just written is not refused because this one has not
// heard of it, nor because the register cannot be asked: over AMQP a refusal is
// for good.
func TestSignerAsksTheRegister(t *testing.T) {
	r, a, c, kv := start(t, DefaultConfig())
	other := open(t, Options{Config: DefaultConfig(), BridgeID: "b2", KV: kv, Append: a, Now: c.Now})
	db7 := enrol(t, r, token(t, r, TokenRequest{}), "db7", Evidence{})
	keyOf := func(hash string) string {
		b, err := hex.DecodeString(hash)
		if err != nil {
			t.Fatal(err)
		}
		return record.KeyID(db7.ServerID, b)
	}
	s, err := r.Server(db7.ServerID)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Signer(t.Context(), keyOf(s.Credentials[0].Hash)); err != nil {
		t.Errorf("enrolled at the other bridge: %v", err)
	}
	c.add(askAgain)
	_, hash := newCredential(db7.ServerID)
	if _, err := r.update(t.Context(), db7.ServerID, func(s *Server) error {
		s.addCredential(Credential{Hash: hash, Created: c.Now()})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Signer(t.Context(), keyOf(hash)); err != nil {
		t.Errorf("enrolled again at the other bridge: %v", err)
	}
	for i := range 200 {
		_, _, err = other.Signer(t.Context(), record.KeyID(record.ID{9, byte(i)}, []byte("x")))
	}
	if !errors.Is(err, ErrBusy) || denied(err) != "" {
		t.Errorf("many unknown keys: %v, want %v", err, ErrBusy)
	}
}

func TestCompat(t *testing.T) {
	r, tape, _, _ := start(t, DefaultConfig())
	id, err := r.Compat(t.Context(), "db7", 2)
	if err != nil {
		t.Fatal(err)
	}
	names, last := tape.about(id)
	if len(names) != 1 || names[0] != record.NameEnrolled || last.Attr(record.AttrIdentifiedBy).Str() != record.IdentifiedByBroker || last.Attr(record.AttrServer).Str() != "db7" {
		t.Errorf("the stream knows %q, last %+v", names, last)
	}
	if again, err := r.Compat(t.Context(), "db7", 2); err != nil || again != id {
		t.Errorf("again: %s, %v", again, err)
	}
	if _, err := auth(t, r, credentialPrefix+id.String()+"."+newSecret()); denied(err) != ReasonWrongSecret {
		t.Errorf("a server without credentials authenticates: %v", err)
	}
	if _, err := r.Compat(t.Context(), "db8", 2); err != nil {
		t.Error(err)
	}
	if _, err := r.Compat(t.Context(), "db9", 2); !errors.Is(err, ErrTooMany) {
		t.Errorf("a third server: %v", err)
	}
	if _, err := r.Revoke(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Compat(t.Context(), "db7", 2); !errors.Is(err, ErrRefused) {
		t.Errorf("after the revoke: %v", err)
	}
}

// Names that a machine gives itself mean one machine.
func TestCompatGivesWay(t *testing.T) {
	long := "a-very-long-server-name"
	for name, c := range map[string]struct {
		host, enrols string
		one          bool
	}{
		"the same":         {"db7", "db7", true},
		"case":             {"db7", "DB7", true},
		"a full name":      {"db7", "db7.example.org", true},
		"cut as NetBIOS":   {strings.ToLower(long[:netbios]), long + ".example.org", true},
		"another":          {"db7", "db70", false},
		"a longer one":     {"db7", "db7-new", false},
		"an address":       {"192.0.2.1", "192.0.2.9", false},
		"a part of an old": {"a-very-long", long, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, tape, _, _ := start(t, DefaultConfig())
			id, err := r.Compat(t.Context(), HostKey(c.host), 10)
			if err != nil {
				t.Fatal(err)
			}
			enrol(t, r, token(t, r, TokenRequest{}), c.enrols, Evidence{})
			_, err = r.Compat(t.Context(), HostKey(c.host), 10)
			if errors.Is(err, ErrEnrolled) != c.one {
				t.Errorf("after %s enrolled: %v", c.enrols, err)
			}
			s, serr := r.Server(id)
			names, _ := tape.about(id)
			if gone := serr == nil && s.State == Decommissioned && names[len(names)-1] == record.NameDecommissioned; gone != c.one {
				t.Errorf("the old server is %+v (%v), its records %q", s, serr, names)
			}
		})
	}
}
