package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"nocturne/exporter/output"
	"nocturne/exporter/output/amqp"
	"nocturne/exporter/output/exec"
	"nocturne/exporter/output/file"
	"nocturne/exporter/output/otlp"
	"nocturne/internal/rabbit"
	"nocturne/internal/trust"
)

// Types of outputs.
const (
	TypeOTLP    = "otlp"
	TypeAMQP    = "amqp"
	TypeFile    = "file"
	TypeExec    = "exec"
	TypeConsole = "console"
)

// Output is one receiver. Without any, an enrolled exporter sends to the
// eventbridge that it enrolled at.
type Output struct {
	// Name is the key of the output's position and a metric label.
	Name string `yaml:"name"`
	Type string `yaml:"type"`
	// URL of types otlp and amqp; for otlp empty = where this machine is enrolled.
	URL string `yaml:"url"`
	// Plain speaks OTLP/HTTP logs to a foreign backend instead of frames to an
	// eventbridge.
	Plain bool `yaml:"plain"`
	// Proxy of type otlp; empty = HTTPS_PROXY and NO_PROXY of the environment.
	Proxy string `yaml:"proxy"`
	// CredentialFile holds the bearer token; empty = that of the enrolment, for
	// plain: none. Of type amqp: USER:PASSWORD of the broker.
	CredentialFile string `yaml:"credential_file"`
	// Headers are added to every request.
	Headers       map[string]string `yaml:"headers"`
	trust.Trust   `yaml:",inline"`
	AMQP          amqp.Config `yaml:"amqp"`
	File          file.Config `yaml:"file"`
	Exec          exec.Config `yaml:"exec"`
	output.Config `yaml:",inline"`
}

// DefaultOutput is an output without a name, of type otlp.
func DefaultOutput() Output {
	return Output{Type: TypeOTLP, AMQP: amqp.DefaultConfig(), File: file.DefaultConfig(), Exec: exec.DefaultConfig(), Config: output.DefaultConfig()}
}

// UnmarshalYAML lays what is written over the defaults of an output.
func (o *Output) UnmarshalYAML(n *yaml.Node) error {
	type plain Output
	p := plain(DefaultOutput())
	if err := n.Decode(&p); err != nil { // mistakes has looked for unknown keys
		return err
	}
	*o = Output(p)
	return nil
}

var outputName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$`)

// Validate says what to write instead.
func (o *Output) Validate() error {
	if !outputName.MatchString(o.Name) {
		return errors.New("write a name of at most 32 of a-z, 0-9, _ and -")
	}
	if err := o.validateType(); err != nil {
		return err
	}
	return o.Config.Validate()
}

func (o *Output) validateType() error {
	switch o.Type {
	case TypeConsole:
		return o.uses()
	case TypeFile:
		return errors.Join(o.uses("file"), o.File.Validate())
	case TypeExec:
		return errors.Join(o.uses("exec"), o.Exec.Validate())
	case TypeAMQP:
		e := o.Endpoint()
		return errors.Join(o.uses("url", "credential_file", "certificates", "amqp"), e.Validate(), o.AMQP.Validate())
	case TypeOTLP:
		return errors.Join(o.uses("url", "plain", "proxy", "credential_file", "headers", "certificates"), o.validateOTLP())
	default:
		return fmt.Errorf("type %q: write otlp, amqp, file, exec or console", o.Type)
	}
}

func (o *Output) validateOTLP() error {
	if o.URL == "" && o.Plain {
		return errors.New("plain needs a url: write where the backend takes OTLP/HTTP, without /v1/logs")
	}
	if o.URL != "" {
		if err := trust.CheckURL(o.URL); err != nil {
			return err
		}
	}
	return errors.Join(otlp.CheckProxy(o.Proxy), o.Trust.Validate())
}

// uses refuses keys that mean nothing to the output's type.
func (o *Output) uses(keys ...string) error {
	var wrong []string
	for _, k := range [...]struct {
		name string
		set  bool
	}{
		{"url", o.URL != ""}, {"plain", o.Plain}, {"proxy", o.Proxy != ""}, {"credential_file", o.CredentialFile != ""},
		{"headers", len(o.Headers) > 0}, {"certificates", !o.Trust.IsZero()}, {"amqp", o.AMQP != amqp.DefaultConfig()},
		{"file", o.File != file.DefaultConfig()}, {"exec", !o.Exec.IsZero()},
	} {
		if k.set && !slices.Contains(keys, k.name) {
			wrong = append(wrong, strings.Replace(k.name, "certificates", "ca_* and client_*", 1))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("type %s does not use %s: remove it", o.Type, strings.Join(wrong, ", "))
	}
	return nil
}

// Endpoint is the broker of an output of type amqp.
func (o *Output) Endpoint() rabbit.Endpoint {
	return rabbit.Endpoint{URL: o.URL, CredentialFile: o.CredentialFile, Trust: o.Trust, Name: "nocturne exporter", Heartbeat: o.AMQP.Heartbeat}
}
