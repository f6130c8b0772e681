package api

import (
	"bytes"
	"os"
	"testing"
)

func TestTypeScriptIsFresh(t *testing.T) {
	want, err := TypeScript()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../grafana-plugin/src/api/schema.ts")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("grafana-plugin/src/api/schema.ts is not what the routes say (%v): run go generate ./ruler/api", err)
	}
}
