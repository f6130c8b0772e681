package stack

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"nocturne/internal/freeport"
)

// Mode is what a stack is for.
type Mode string

// The modes. Each has a data folder of its own.
const (
	Run  Mode = "run"  // this machine and the servers that a person adds
	Demo Mode = "demo" // the same with a simulated fleet, fast enough to watch
)

// DefaultDir is where a mode keeps its data when nobody says otherwise.
func DefaultDir(m Mode) (string, error) {
	name := "nocturne"
	if m == Demo {
		name = "nocturne-demo"
	}
	if runtime.GOOS == "windows" {
		if base := os.Getenv("ProgramData"); base != "" {
			return filepath.Join(base, name), nil
		}
	}
	if base := os.Getenv("XDG_DATA_HOME"); base != "" {
		return filepath.Join(base, name), nil
	}
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a data folder (give one with --data): %w", err)
	}
	return filepath.Join(home, ".local", "share", name), nil
}

// Ports are the loopback ports of all parts.
type Ports struct {
	Metrics      int `json:"metrics"`
	Logs         int `json:"logs"`
	Alertmanager int `json:"alertmanager"`
	Ingest       int `json:"ingest"`
	Admin        int `json:"admin"`
	Stream       int `json:"stream"`
	Ruler        int `json:"ruler"`
	Receiver     int `json:"receiver"`
	Simulator    int `json:"simulator"`
	Exporter     int `json:"exporter"`
}

// DefaultPorts are the documented ones.
func DefaultPorts() Ports {
	return Ports{
		Metrics: 8428, Logs: 9428, Alertmanager: 9093, Ingest: 9470, Admin: 9472, Stream: 9473,
		Ruler: 9480, Receiver: 9481, Simulator: 9482, Exporter: 9490,
	}
}

func (p *Ports) named() map[string]*int {
	return map[string]*int{
		"metrics": &p.Metrics, "logs": &p.Logs, "alertmanager": &p.Alertmanager, "ingest": &p.Ingest, "admin": &p.Admin,
		"stream": &p.Stream, "ruler": &p.Ruler, "receiver": &p.Receiver, "simulator": &p.Simulator, "exporter": &p.Exporter,
	}
}

// Set changes ports as a flag says: "free" takes any free ones, "ruler=8080,logs=9500" names them.
func (p *Ports) Set(text string) error {
	if text == "free" {
		return p.takeFree()
	}
	named := p.named()
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		port := named[name]
		if port == nil {
			return fmt.Errorf("no port is called %q; these are: metrics, logs, alertmanager, ingest, admin, stream, ruler, receiver, simulator, exporter", name)
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("port %s: %q is no number from 1 to 65535", name, value)
		}
		*port = n
	}
	return nil
}

func (p *Ports) takeFree() error {
	named := p.named()
	free, err := freeport.Find(len(named))
	if err != nil {
		return err
	}
	for _, port := range named {
		*port, free = free[0], free[1:]
	}
	return nil
}

// Addr is the address of a port on loopback.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// URL is where a port answers HTTP on loopback.
func URL(port int) string { return "http://" + Addr(port) }

// Layout names the files of a data folder.
type Layout struct{ Dir string }

func (l Layout) in(parts ...string) string {
	return filepath.Join(append([]string{l.Dir}, parts...)...)
}

// State is the file in which a running stack says where its parts are.
func (l Layout) State() string { return l.in("run.json") }

// Part is the data folder of one part.
func (l Layout) Part(name string) string { return l.in(name) }

// Config is the generated configuration file of one part.
func (l Layout) Config(name string) string { return l.in("config", name+".yml") }

// Rules is where a person's own rule files may lie.
func (l Layout) Rules() string { return l.in("rules") }

// Logs is the folder of the parts' output.
func (l Layout) Logs() string { return l.in("logs") }

// Log is the file of one part's output, or, as "nocturne", of what nocturne itself says.
func (l Layout) Log(name string) string { return l.in("logs", name+".log") }

// AdminToken is the bridge's admin token.
func (l Layout) AdminToken() string { return l.in("eventbridge", "admin.token") }
