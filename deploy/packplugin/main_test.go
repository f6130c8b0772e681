package main

import (
	"archive/zip"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestPack(t *testing.T) {
	to := filepath.Join(t.TempDir(), "x", "plugin.zip")
	dist := fstest.MapFS{"module.js": {Data: []byte("x")}, "plugin.json": {Data: []byte("{}")}, "img/logo.svg": {Data: []byte("<svg/>")}, "gpx_nocturne_fleet_linux_amd64": {Data: []byte("ELF")}}
	if n, err := pack(dist, to); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	z, err := zip.OpenReader(to)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]bool{} // can be run
	for _, f := range z.File {
		got[f.Name] = f.Mode()&0o111 != 0
	}
	if len(got) != 4 || !got["nocturne-fleet-app/gpx_nocturne_fleet_linux_amd64"] || got["nocturne-fleet-app/module.js"] {
		t.Errorf("packed %v", got)
	}
	delete(dist, "module.js")
	if _, err := pack(dist, to); err == nil {
		t.Error("a plugin without its front end was packed")
	}
}
