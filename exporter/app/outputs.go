package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nocturne/exporter/config"
	"nocturne/exporter/enrol"
	"nocturne/exporter/metrics"
	"nocturne/exporter/output"
	"nocturne/exporter/output/amqp"
	"nocturne/exporter/output/console"
	"nocturne/exporter/output/exec"
	"nocturne/exporter/output/file"
	"nocturne/exporter/output/otlp"
	"nocturne/internal/disk"
	"nocturne/internal/record"
)

// identity is who this exporter speaks for.
type identity struct {
	id   record.ID
	name string
}

// receiver is an output with what it needs from the enrolment.
type receiver struct {
	config.Output
	credential string
}

// native tells whether it is an eventbridge.
func (r *receiver) native() bool { return r.Type == config.TypeOTLP && !r.Plain }

// signs tells whether its frames are signed with a credential of an eventbridge.
func (r *receiver) signs() bool { return r.Type == config.TypeAMQP }

// defaultOutput is the name of the output that an enrolment brings.
const defaultOutput = "bridge"

// receivers completes the configured outputs and finds out who we are.
func (a *App) receivers() ([]receiver, error) {
	enrolled, err := enrol.Load(a.o.Config.Data)
	if err != nil && !errors.Is(err, enrol.ErrNotEnrolled) {
		return nil, err
	}
	outputs := a.o.Config.Outputs
	if len(outputs) == 0 {
		if enrolled == nil {
			return nil, fmt.Errorf("%w: paste the line of `nocturne token create` (exporter enrol --server URL --token TOKEN), or configure outputs", enrol.ErrNotEnrolled)
		}
		outputs = []config.Output{{Name: defaultOutput, Type: config.TypeOTLP, Config: output.DefaultConfig()}}
	}
	var out []receiver
	for _, o := range outputs {
		r, err := complete(o, enrolled)
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", o.Name, err)
		}
		out = append(out, r)
	}
	a.identity, err = whoWeAre(a.o.Config.Data, enrolled, out)
	return out, err
}

// Reported is what this machine says of where it belongs: the environment over
// the file over what the installation was given.
func Reported(c config.Config) (enrol.Labels, error) {
	stored, err := enrol.LoadLabels(c.Data)
	if err != nil {
		return stored, err
	}
	l := enrol.EnvLabels(os.Getenv).Over(c.Labels.Over(stored))
	return l, l.Validate()
}

// complete fills in what an output takes from the enrolment.
func complete(o config.Output, enrolled *enrol.State) (receiver, error) {
	r := receiver{Output: o}
	if r.signs() { // its credential_file is the broker's
		if enrolled == nil {
			return r, fmt.Errorf("%w: enrol at the eventbridge that reads the broker, its credential signs the frames", enrol.ErrNotEnrolled)
		}
		r.credential = enrolled.Credential
		return r, nil
	}
	if o.CredentialFile != "" {
		b, err := os.ReadFile(o.CredentialFile)
		if err != nil {
			return r, fmt.Errorf("read credential_file: %w", err)
		}
		r.credential = strings.TrimSpace(string(b))
	}
	if !r.native() {
		return r, nil
	}
	if r.URL == "" {
		if enrolled == nil {
			return r, fmt.Errorf("%w: enrol, or write a url", enrol.ErrNotEnrolled)
		}
		r.URL = enrolled.URL
		if r.CAFile == "" && r.CAFingerprint == "" {
			r.CAFile = enrolled.CAFile
			r.CAFingerprint = enrolled.CAFingerprint
		}
	}
	if r.credential == "" {
		if enrolled == nil {
			return r, fmt.Errorf("%w: enrol, or write a credential_file", enrol.ErrNotEnrolled)
		}
		r.credential = enrolled.Credential
	}
	return r, nil
}

// whoWeAre is the server id of the credentials, which must agree. Without any
// it is an id made here, that means nothing to anybody else.
func whoWeAre(dir string, enrolled *enrol.State, receivers []receiver) (identity, error) {
	var me identity
	if enrolled != nil {
		me = identity{enrolled.ServerID, enrolled.Server}
	}
	for i := range receivers {
		r := &receivers[i]
		if !r.native() && !r.signs() {
			continue
		}
		id, err := enrol.CredentialID(r.credential)
		if err != nil {
			return me, fmt.Errorf("output %q: %w", r.Name, err)
		}
		if me.id.IsZero() {
			me.id = id
		}
		if me.id != id && (enrolled == nil || enrolled.IssuedFor != id) {
			return me, fmt.Errorf("output %q: its credential is of server %s, but this exporter is %s: one exporter is one server", r.Name, id, me.id)
		}
	}
	if !me.id.IsZero() {
		return me, nil
	}
	return localIdentity(filepath.Join(dir, "local_id"))
}

func localIdentity(path string) (identity, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		id, err := record.ParseID(strings.TrimSpace(string(b)))
		if err != nil {
			return identity{}, fmt.Errorf("read %s: %w", path, err)
		}
		return identity{id: id}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return identity{}, err
	}
	var id record.ID
	_, _ = rand.Read(id[:]) // never fails
	return identity{id: id}, disk.Replace(path, []byte(id.String()+"\n"), 0o600)
}

// addOutput builds one output, its driver and, for an eventbridge, the push of
// metrics.
func (a *App) addOutput(r receiver) error {
	out, err := a.newOutput(&r)
	if err != nil {
		return fmt.Errorf("output %q: %w", r.Name, err)
	}
	a.onClose("output "+r.Name, out.Close)
	reader, err := a.spool.Reader(r.Name)
	if err != nil {
		return err
	}
	d, err := output.NewDriver(r.Name, r.Config, reader, out, a.log.With("component", "output", "output", r.Name), a.registry)
	if err != nil {
		return err
	}
	a.drivers = append(a.drivers, d)
	if !r.native() || !a.o.Config.Metrics.Push {
		return nil
	}
	client, err := a.client(&r)
	if err != nil {
		return fmt.Errorf("output %q: %w", r.Name, err)
	}
	a.onClose("metrics to "+r.Name, client.Close)
	p, err := metrics.NewPusher(r.Name, a.o.Config.Metrics, a.gatherer, client, a.log.With("component", "metrics", "output", r.Name), a.registry)
	if err != nil {
		return err
	}
	a.pushers = append(a.pushers, p)
	return nil
}

func (a *App) newOutput(r *receiver) (output.Output, error) {
	switch r.Type {
	case config.TypeConsole:
		if a.o.Stdout == nil {
			return nil, errors.New("there is no console to write to: a service has none")
		}
		return console.New(a.o.Stdout), nil
	case config.TypeFile:
		return file.New(r.File), nil
	case config.TypeExec:
		return exec.New(exec.Options{Config: r.Exec, Name: r.Name, Log: a.log.With("component", "output", "output", r.Name)}), nil
	case config.TypeAMQP:
		keyID, key, err := enrol.SigningKey(r.credential)
		if err != nil {
			return nil, err
		}
		return amqp.New(amqp.Options{Config: r.AMQP, Endpoint: r.Endpoint(), KeyID: keyID, Key: key}), nil
	}
	client, err := a.client(r)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	successor := a.successor
	if r.CredentialFile != "" {
		successor = nil // whoever wrote that file decides who we are
	}
	return otlp.New(client, otlp.Options{
		Producer: record.ExporterProducer(a.identity.id), Subject: a.identity.id, Epoch: a.spool.Epoch(), Plain: r.Plain, Successor: successor,
		Resource: []record.Attr{
			{Key: "service.name", Value: record.String("nocturne-exporter")}, {Key: "service.version", Value: record.String(a.o.Version)},
			{Key: "host.name", Value: record.String(host)}, {Key: "host.id", Value: record.String(a.identity.id.String())},
		},
	}), nil
}

// successor hears from an output that the register has given this machine the
// id of the server that it was before.
func (a *App) successor(id record.ID, name string) {
	select {
	case a.become <- identity{id, name}:
	default: // known already
	}
}

func (a *App) client(r *receiver) (*otlp.Client, error) {
	cfg, err := r.Trust.TLS(r.URL)
	if err != nil {
		return nil, err
	}
	return otlp.NewClient(otlp.ClientOptions{URL: r.URL, Credential: r.credential, Headers: r.Headers, TLS: cfg, Proxy: r.Proxy, UserAgent: "nocturne-exporter/" + a.o.Version}), nil
}
