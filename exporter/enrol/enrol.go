// Package enrol makes a machine a server of the fleet: it exchanges a join
// token for an id and a credential, and keeps them in the state directory.
//
// The credential lies in a file of its own that only the service may read. It
// is never printed. On Windows the mode says nothing: the directory's access
// list must allow SYSTEM and Administrators alone, which is what a directory
// below ProgramData made by an installer gets, and what Enrol sets anew.
//
// Everything is safe for concurrent use. To test: go test ./exporter/enrol.
package enrol

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nocturne/internal/disk"
	"nocturne/internal/record"
	"nocturne/internal/trust"
)

// Names of the files in the state directory.
const (
	stateName      = "enrolment.json"
	credentialName = "credential"
	caName         = "ca.pem"
)

// State is who this machine is to the fleet.
type State struct {
	ServerID      record.ID         `json:"server_id"`
	Server        string            `json:"server"`
	URL           string            `json:"url"`
	CAFingerprint string            `json:"ca_fingerprint,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	EnrolledAt    time.Time         `json:"enrolled_at"`
	// IssuedFor is the id in the credential, when the register has since
	// decided that this machine is the successor of another server.
	IssuedFor record.ID `json:"issued_for,omitzero"`

	// Credential is in a file of its own; CAFile is where the CA lies, "" = none.
	Credential string `json:"-"`
	CAFile     string `json:"-"`
}

// ErrNotEnrolled means that there is no enrolment in the state directory.
var ErrNotEnrolled = errors.New("this machine is not enrolled")

// Load reads the enrolment of a state directory.
func Load(dir string) (*State, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, fmt.Errorf("read enrolment: %w", err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil || s.ServerID.IsZero() {
		return nil, fmt.Errorf("read enrolment %s: not what enrol wrote; enrol again", filepath.Join(dir, stateName))
	}
	c, err := os.ReadFile(filepath.Join(dir, credentialName))
	if err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}
	s.Credential = strings.TrimSpace(string(c))
	ca := filepath.Join(dir, caName)
	if _, err := os.Stat(ca); err == nil {
		s.CAFile = ca
	}
	return &s, nil
}

// Become makes this machine the server that the register says it is. The
// credential stays; the register knows that it speaks for both.
func Become(dir string, id record.ID, name string) error {
	s, err := Load(dir)
	if err != nil {
		return err
	}
	if s.IssuedFor, err = CredentialID(s.Credential); err != nil {
		return err
	}
	s.ServerID, s.Server = id, name
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeSecret(filepath.Join(dir, stateName), append(b, '\n'))
}

// Request is what a person pasted, and what the machine says of itself.
type Request struct {
	URL           string
	Token         string
	CAFingerprint string
	CAFile        string
	Name          string
	OS            string
	Version       string
	Evidence      Evidence
	Reported      Labels // wishes; the token decides
}

// Evidence helps people to tell machines apart; it is not an identity.
type Evidence struct {
	MachineID  string `json:"machine_id,omitempty"`
	SMBIOSUUID string `json:"smbios_uuid,omitempty"`
	Serial     string `json:"serial,omitempty"`
}

type request struct {
	Token    string   `json:"token"`
	Name     string   `json:"name"`
	OS       string   `json:"os"`
	Version  string   `json:"exporter_version"`
	Evidence Evidence `json:"evidence"`
	Reported *Labels  `json:"reported,omitempty"` // nil = nothing is said; older bridges know no such key
}

type answer struct {
	ServerID   record.ID         `json:"server_id"`
	Credential string            `json:"credential"`
	Server     string            `json:"server"`
	Labels     map[string]string `json:"labels"`
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// Enrol asks the bridge for an id and a credential and stores them in dir.
func Enrol(ctx context.Context, dir string, r Request) (*State, error) {
	if err := trust.CheckURL(r.URL); err != nil {
		return nil, err
	}
	whom := trust.Trust{CAFile: r.CAFile, CAFingerprint: r.CAFingerprint}
	cfg, err := whom.TLS(r.URL)
	if err != nil {
		return nil, err
	}
	a, ca, err := ask(ctx, cfg, r)
	if err != nil {
		return nil, fmt.Errorf("enrol at %s: %w", r.URL, err)
	}
	s := &State{ServerID: a.ServerID, Server: a.Server, URL: strings.TrimRight(r.URL, "/"), CAFingerprint: r.CAFingerprint,
		Labels: a.Labels, EnrolledAt: time.Now().UTC().Truncate(time.Second), Credential: a.Credential}
	var pemCA []byte
	switch {
	case r.CAFile != "":
		if pemCA, err = os.ReadFile(r.CAFile); err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
	case ca != nil:
		pemCA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	}
	return s, s.save(dir, pemCA)
}

// ask does the exchange. It returns the CA too, when it was found by its
// fingerprint.
func ask(ctx context.Context, cfg *tls.Config, r Request) (*answer, *x509.Certificate, error) {
	q := request{Token: r.Token, Name: r.Name, OS: r.OS, Version: r.Version, Evidence: r.Evidence}
	if r.Reported != (Labels{}) {
		q.Reported = &r.Reported
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(r.URL, "/")+"/nocturne/v1/enrol", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, explain(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, refusal(res.StatusCode, b)
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil || a.ServerID.IsZero() || a.Credential == "" {
		return nil, nil, errors.New("the answer holds no server id and credential: is this an eventbridge?")
	}
	var ca *x509.Certificate
	if r.CAFingerprint != "" && r.CAFile == "" && res.TLS != nil {
		fp, err := trust.ParseFingerprint(r.CAFingerprint)
		if err != nil {
			return nil, nil, err
		}
		if ca, err = trust.VerifyPinned(*res.TLS, req.URL.Hostname(), fp); err != nil {
			return nil, nil, err
		}
	}
	return &a, ca, nil
}

// explain adds what to do to an error of the connection.
func explain(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w: add --ca-fingerprint from the line that `nocturne token create` printed", err)
	}
	return err
}

func refusal(code int, b []byte) error {
	var e struct{ Error, Hint string }
	if json.Unmarshal(b, &e) != nil || e.Error == "" {
		return fmt.Errorf("answer %d %s", code, http.StatusText(code))
	}
	if e.Hint != "" {
		return fmt.Errorf("%s (%d): %s", e.Error, code, e.Hint)
	}
	return fmt.Errorf("%s (%d)", e.Error, code)
}

// save writes the files, the one that makes it an enrolment last.
func (s *State) save(dir string, ca []byte) error {
	if err := Protect(dir); err != nil {
		return fmt.Errorf("save enrolment: %w", err)
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	caFile := filepath.Join(dir, caName)
	if ca == nil {
		if err := os.Remove(caFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("save enrolment: %w", err)
		}
		s.CAFile = ""
	} else {
		if err := writeSecret(caFile, ca); err != nil {
			return err
		}
		s.CAFile = caFile
	}
	if err := writeSecret(filepath.Join(dir, credentialName), []byte(s.Credential+"\n")); err != nil {
		return err
	}
	return writeSecret(filepath.Join(dir, stateName), append(b, '\n'))
}

// Folder makes a data folder that only the service and administrators read. One
// that is there stays as it is: an administrator may have let another account in.
func Folder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	return Protect(dir)
}

// Protect makes a folder that only the service and administrators read.
func Protect(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := restrict(dir); err != nil {
		return fmt.Errorf("restrict %s: %w", dir, err)
	}
	return nil
}

// writeSecret replaces a file by one that only its owner reads.
func writeSecret(path string, b []byte) error {
	if err := disk.Replace(path, b, 0o600); err != nil {
		return fmt.Errorf("save enrolment: %w", err)
	}
	return nil
}

// credentialPrefix begins every credential: noc1.<server id>.<secret>.
const credentialPrefix = "noc1."

// CredentialID returns the server id in a credential. The error does not
// repeat it.
func CredentialID(credential string) (record.ID, error) {
	rest, ok := strings.CutPrefix(credential, credentialPrefix)
	text, secret, dot := strings.Cut(rest, ".")
	id, err := record.ParseID(text)
	if !ok || !dot || secret == "" || err != nil {
		return record.ID{}, errors.New("the credential is not one: want noc1.<server id>.<secret>")
	}
	return id, nil
}

// SigningKey returns the key with which a server signs its frames where it
// cannot show its credential (AMQP), and the key's id: SHA-256 of the secret,
// which the register of servers holds too.
func SigningKey(credential string) (keyID string, key []byte, err error) {
	id, err := CredentialID(credential)
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256([]byte(credential[strings.LastIndexByte(credential, '.')+1:]))
	return record.KeyID(id, sum[:]), sum[:], nil
}
