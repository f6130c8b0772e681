package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nocturne/internal/record"
)

// State is where a server stands.
type State string

// The states of a server.
const (
	Active         State = "active"
	Revoked        State = "revoked"        // its credentials are refused until it enrols again
	Decommissioned State = "decommissioned" // gone for good; its absence is nobody's concern
	Merged         State = "merged"         // continues under the id in Successor
)

// Labels place a server. They come from the join token or from a person, never
// from the server.
type Labels struct {
	Site      string `json:"site"`
	Rack      string `json:"rack"`
	Role      string `json:"role"`
	Owner     string `json:"owner"`
	Simulated bool   `json:"simulated,omitempty"`
}

// Evidence is what an installation says of the machine it runs on. It proves
// nothing; it helps a person to recognise the machine.
type Evidence struct {
	MachineID  string `json:"machine_id,omitempty"`
	SMBIOSUUID string `json:"smbios_uuid,omitempty"`
	Serial     string `json:"serial,omitempty"`
}

// Credential is one secret of a server.
type Credential struct {
	Hash    string    `json:"hash"` // SHA-256 of the secret, hexadecimal
	Created time.Time `json:"created"`
	Revoked bool      `json:"revoked,omitempty"`
}

// Server is one entry of the register.
type Server struct {
	ID              record.ID    `json:"id"`
	Name            string       `json:"name"`
	OS              string       `json:"os,omitempty"`
	ExporterVersion string       `json:"exporter_version,omitempty"`
	Evidence        Evidence     `json:"evidence"`
	Labels          Labels       `json:"labels"`
	From            Sources      `json:"from,omitzero"`     // where each label comes from
	Reported        Place        `json:"reported,omitzero"` // a claim, no labels
	State           State        `json:"state"`
	Credentials     []Credential `json:"credentials"`
	Token           string       `json:"token,omitempty"` // id of the join token
	Created         time.Time    `json:"created"`
	Changed         time.Time    `json:"changed"`
	// IdentifiedBy says who vouches for a server that never enrolled:
	// record.IdentifiedByBroker. It has no credential. Usually empty.
	IdentifiedBy string `json:"identified_by,omitempty"`

	// Address is that of its last connection, as a bridge saw it, and Moved when
	// that was noted. Neither a proxy's word nor the server's own counts.
	Address netip.Addr `json:"address,omitzero"`
	Moved   time.Time  `json:"moved,omitzero"`

	// SuccessionOf names an older server with the same machine id and SMBIOS
	// UUID, SuccessionBy a newer one: a person decides whether they are one.
	SuccessionOf record.ID `json:"succession_of,omitzero"`
	SuccessionBy record.ID `json:"succession_by,omitzero"`
	// Successor is the id under which a merged server continues.
	Successor record.ID `json:"successor,omitzero"`

	// Sequences hold, by bridge id, the sequence of the records about this
	// server; Owed the records that are promised and not yet in the stream.
	Sequences map[string]Sequence `json:"sequences,omitempty"`
	Owed      []Event             `json:"owed,omitempty"`
	Announced Announced           `json:"announced"`
}

// Sequence numbers the records about one server from one bridge.
type Sequence struct {
	Start  int64  `json:"start"`
	Random uint64 `json:"random"`
	Last   uint64 `json:"last"`
}

// Event is a change that the stream shall know of.
type Event struct {
	Name   string    `json:"name"`
	Bridge string    `json:"bridge"`
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Note   string    `json:"note,omitempty"` // why, for a person
}

// Announced says when and to which stream the server was last stated.
type Announced struct {
	At          time.Time `json:"at"`
	Incarnation string    `json:"incarnation,omitempty"`
}

// promise notes that a record of this name is owed to the stream.
func (s *Server) promise(bridge, name, note string, now time.Time) {
	if s.Sequences == nil {
		s.Sequences = map[string]Sequence{}
	}
	q, ok := s.Sequences[bridge]
	if !ok {
		q = Sequence{Start: now.UnixNano(), Random: randomUint64()}
	}
	q.Last++
	s.Sequences[bridge] = q
	s.Owed = append(s.Owed, Event{Name: name, Bridge: bridge, Seq: q.Last, At: now.UTC(), Note: note})
	s.Changed = now.UTC()
}

// addCredential keeps the newest maxCredentials.
func (s *Server) addCredential(c Credential) {
	s.Credentials = append(s.Credentials, c)
	if n := len(s.Credentials) - maxCredentials; n > 0 {
		s.Credentials = slices.Delete(s.Credentials, 0, n)
	}
}

func (s *Server) revokeCredentials() {
	for i := range s.Credentials {
		s.Credentials[i].Revoked = true
	}
}

const (
	maxCredentials = 8
	maxLabel       = 128
	maxName        = 255
)

// Validate says which label cannot be and what to write instead.
func (l Labels) Validate() error {
	for _, f := range [...]struct{ name, value string }{{"site", l.Site}, {"rack", l.Rack}, {"role", l.Role}, {"owner", l.Owner}} {
		if err := checkText(f.name, f.value, maxLabel); err != nil {
			return err
		}
	}
	return nil
}

func checkText(field, v string, limit int) error {
	switch {
	case len(v) > limit:
		return fmt.Errorf("%s has %d bytes: want at most %d", field, len(v), limit)
	case !utf8.ValidString(v):
		return fmt.Errorf("%s is not UTF-8", field)
	case strings.IndexFunc(v, unicode.IsControl) >= 0:
		return fmt.Errorf("%s holds control characters", field)
	case strings.TrimSpace(v) != v:
		return fmt.Errorf("%s begins or ends with a space", field)
	}
	return nil
}

// known tells whether a piece of evidence can tell machines apart: vendors
// ship placeholders by the thousand.
func known(v string) bool {
	v = strings.ToLower(strings.TrimSpace(v))
	if len(v) < 8 || strings.Trim(v, "0-") == "" || strings.Trim(v, "f-") == "" {
		return false
	}
	switch v {
	case "not specified", "not available", "not settable", "not present", "to be filled by o.e.m.", "default string",
		"system serial number", "03000200-0400-0500-0006-000700080009", "12345678-1234-5678-90ab-cddeefaabbcc":
		return false
	}
	return true
}

// Matches tells whether two installations claim the same machine: both the
// machine id and the SMBIOS UUID are known and equal.
func (e Evidence) Matches(f Evidence) bool {
	return known(e.MachineID) && known(e.SMBIOSUUID) &&
		strings.EqualFold(e.MachineID, f.MachineID) && strings.EqualFold(e.SMBIOSUUID, f.SMBIOSUUID)
}
