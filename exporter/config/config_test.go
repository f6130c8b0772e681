package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnEmptyFileHoldsTheDefaults(t *testing.T) {
	c := Default()
	if err := c.Decode(nil); err != nil {
		t.Fatal(err)
	}
	if c.Metrics.Listen != "127.0.0.1:9490" || c.Heartbeat.Interval != 2*time.Minute || c.Spool.MaxBytes != 512<<20 || len(c.Outputs) != 0 || !c.Metrics.Push {
		t.Errorf("%+v", c)
	}
}

func TestOutputsHaveDefaults(t *testing.T) {
	c := Default()
	err := c.Decode([]byte(`
outputs:
  - name: bridge
  - {name: local, type: console, batch: {frames: 3}}
  - {name: foreign, plain: true, url: "https://otel.example:4318", timeout: 5s, headers: {X-Scope: night}, ca_fingerprint: ` + strings.Repeat("ab", 32) + `}
`))
	if err != nil {
		t.Fatal(err)
	}
	a, b, d := c.Outputs[0], c.Outputs[1], c.Outputs[2]
	if a.Type != TypeOTLP || a.Timeout != 30*time.Second || a.Batch.Frames != 64 || a.URL != "" {
		t.Errorf("%+v", a)
	}
	if b.Batch.Frames != 3 || b.Batch.Bytes != 2<<20 {
		t.Errorf("%+v", b)
	}
	if !d.Plain || d.Timeout != 5*time.Second || d.Headers["X-Scope"] != "night" || len(d.CAFingerprint) != 64 {
		t.Errorf("%+v", d)
	}
}

var update = flag.Bool("update", false, "write what is said into testdata")

// Each testdata/invalid-*.yml begins with a comment that is the whole message.
func TestInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yml"), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			rest := string(b)
			for line := range strings.Lines(rest) {
				text, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "# ")
				if !ok {
					break
				}
				want, rest = append(want, text), strings.TrimPrefix(rest, line)
			}
			c := Default()
			err = c.Decode(b)
			if *update && err != nil {
				said := "# " + strings.ReplaceAll(err.Error(), "\n", "\n# ") + "\n"
				if err := os.WriteFile(f, []byte(said+rest), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || err.Error() != strings.Join(want, "\n") {
				t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
			}
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.yml")
	if _, err := Load(path); err == nil {
		t.Error("a file that was named and is not there")
	}
	if err := os.WriteFile(path, []byte("nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), "config "+path+": ") {
		t.Error(err)
	}
}

// What the user page shows is a valid file.
func TestTheDocumentedFileIsValid(t *testing.T) {
	b, err := os.ReadFile("../../docs/exporter.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```yaml\n")
	text, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("docs/exporter.md holds no YAML")
	}
	c := Default()
	if err := c.Decode([]byte(text)); err != nil {
		t.Error(err)
	}
	if len(c.Outputs) != 6 {
		t.Errorf("%d outputs", len(c.Outputs))
	}
}

// Whatever a file holds, it is a configuration or an error, soon.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("a: &a [1,1]\nraid: &b {command: [*a,*a,*a]}\nwinlog: *b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Default()
		if err := c.Decode(b); err == nil && c.Validate() != nil {
			t.Error("decoded and not valid")
		}
	})
}
