package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nocturne/eventbridge/registry"
)

func TestInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(f, ".yml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Load(f)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.TrimPrefix(err.Error(), "config "+f+": "); got != strings.TrimSuffix(string(want), "\n") {
				t.Errorf("message\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestValid(t *testing.T) {
	c, err := Load("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	if c.BridgeID != "edge-1" || c.Registry.Succession != registry.Automatic || c.VictoriaLogs.URL != "" || len(c.Ingest.Names) != 2 {
		t.Errorf("read %+v", c)
	}
	if c, err = Load(""); err != nil || c.Ingest.Address != "127.0.0.1:9470" {
		t.Errorf("no file: %v, %+v", err, c)
	}
	empty := filepath.Join(t.TempDir(), "empty.yml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(empty); err != nil {
		t.Errorf("empty file: %v", err)
	}
	if _, err := Load("testdata/missing.yml"); err == nil || !strings.Contains(err.Error(), "missing.yml") {
		t.Errorf("missing file: %v", err)
	}
}
