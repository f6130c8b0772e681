package amqp

import (
	"errors"
	"fmt"
	"path"
	"time"

	"nocturne/eventbridge/ingest/compat"
	"nocturne/internal/rabbit"
	"nocturne/internal/record"
	"nocturne/internal/trust"
)

// Config is the broker's part of the configuration file.
type Config struct {
	// URL is amqps://HOST:PORT/VHOST; empty = no broker.
	URL string `yaml:"url"`
	// CredentialFile holds USER:PASSWORD of the broker.
	CredentialFile string `yaml:"credential_file"`
	trust.Trust    `yaml:",inline"`
	// Exchange is also the first part of the queues' names.
	Exchange string `yaml:"exchange"`
	// Declare makes exchange and queues where they are missing.
	Declare   bool          `yaml:"declare"`
	Heartbeat time.Duration `yaml:"heartbeat"`
	// Prefetch is how many messages of one queue may be in work at once: what
	// the bridge holds in memory at most is this times the number of queues
	// times the size of a message.
	Prefetch int    `yaml:"prefetch"`
	Compat   Compat `yaml:"compat"`
}

// Compat takes the messages of the old agent.
type Compat struct {
	// Queues says which of its messages wait where: queue name → kind.
	Queues map[string]compat.Kind `yaml:"queues"`
	// Hosts are patterns (as in a shell) of the host names that may speak, in
	// lower case; "*" = every one.
	Hosts []string `yaml:"hosts"`
	// MaxServers bounds how many servers their messages may bring.
	MaxServers int `yaml:"max_servers"`
}

// DefaultConfig reads no broker.
func DefaultConfig() Config {
	return Config{Exchange: rabbit.DefaultExchange, Declare: true, Heartbeat: 10 * time.Second, Prefetch: 32, Compat: Compat{MaxServers: 1000}}
}

// Endpoint is the broker.
func (c *Config) Endpoint() rabbit.Endpoint {
	return rabbit.Endpoint{URL: c.URL, CredentialFile: c.CredentialFile, Trust: c.Trust, Name: "nocturne eventbridge", Heartbeat: c.Heartbeat}
}

func (c *Config) topology() rabbit.Topology { return rabbit.Topology{Exchange: c.Exchange} }

// Validate says what to write instead of what is wrong.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("amqp."+format, args...))
		}
	}
	part := func(err error) { check(err == nil, "%w", err) }
	if c.URL != "" {
		e := c.Endpoint()
		part(e.Validate())
	}
	part(c.topology().Validate())
	check(c.Heartbeat >= time.Second && c.Heartbeat <= 5*time.Minute, "heartbeat %s: want 1s to 5m", c.Heartbeat)
	check(c.Prefetch >= 1 && c.Prefetch <= 1000, "prefetch %d: want 1 to 1000", c.Prefetch)
	check(c.Compat.MaxServers >= 1 && c.Compat.MaxServers <= 100000, "compat.max_servers %d: want 1 to 100000", c.Compat.MaxServers)
	check(len(c.Compat.Queues) == 0 || c.URL != "", "compat.queues: write amqp.url, where the broker is")
	check(len(c.Compat.Queues) == 0 || len(c.Compat.Hosts) > 0, "compat.hosts is empty: name the hosts whose old agents may speak, such as [\"db*\"], or [\"*\"]")
	for name, kind := range c.Compat.Queues {
		check(kind.Valid(), "compat.queues.%s %q: want one of %v", name, kind, compat.Kinds())
		check(name != c.topology().Dead() && !c.ours(name), "compat.queues.%s is a queue of frames: want one of the old agent", name)
	}
	for _, h := range c.Compat.Hosts {
		_, err := path.Match(h, "")
		check(err == nil, "compat.hosts %q: want a pattern such as db*", h)
	}
	return errors.Join(errs...)
}

func (c *Config) ours(queue string) bool {
	for _, cat := range record.Categories() {
		if c.topology().Queue(cat) == queue {
			return true
		}
	}
	return false
}
