package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

const goodJSON = `{"id": "nocturne-fleet-app", "type": "app", "name": "N", "backend": true, "executable": "gpx_x",
	"info": {"description": "d", "version": "1.2.3", "updated": "2026-11-28", "author": {"name": "a"}, "logos": {"small": "img/logo.svg", "large": "img/logo.svg"}},
	"includes": [{"type": "page", "name": "Tonight", "path": "/a/nocturne-fleet-app/tonight", "role": "Viewer"}], "dependencies": {"grafanaDependency": ">=12.3.0"}}`

// good is a dist without a fault.
func good() fstest.MapFS {
	dist := fstest.MapFS{}
	for name, text := range map[string]string{
		"plugin.json": goodJSON, "module.js": `define(["react"],e=>e)`, "module.js.map": `{"sourcesContent":["x"]}`, "README.md": "r", "CHANGELOG.md": "c", "LICENSE": "l",
		"go_plugin_build_manifest": "h:main.go", "img/logo.svg": `<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`,
		"gpx_x_linux_amd64": "\x7fELF…", "gpx_x_linux_arm64": "\x7fELF…", "gpx_x_windows_amd64.exe": "MZ…",
	} {
		dist[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return dist
}

func TestCheck(t *testing.T) {
	if err := check(good()); err != nil {
		t.Fatal(err)
	}
	// f puts a text in place of a file, or takes the file out, and wants that to be found.
	f := func(name, text, want string) {
		t.Helper()
		dist := good()
		if delete(dist, name); text != "" {
			dist[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if err := check(dist); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %v, want %q", name, err, want)
		}
	}
	for name := range good() {
		if name != "plugin.json" {
			f(name, "", name) // each one is needed
		}
	}
	f("plugin.json", "", "plugin.json")
	f("plugin.json", "{", "plugin.json")
	swap := func(old, new, want string) {
		t.Helper()
		f("plugin.json", strings.Replace(goodJSON, old, new, 1), want)
	}
	swap("1.2.3", "%VERSION%", "placeholder")
	swap("1.2.3", "1.2", "form 1.2.3")
	swap("2026-11-28", "today", "no day")
	swap("nocturne-fleet-app", "other-app", "id nocturne-fleet-app")
	swap("/a/nocturne-fleet-app/tonight", "/a/other/tonight", "no page of the app")
	swap(`"Viewer"`, `"Nobody"`, "no page of the app")
	swap("img/logo.svg", "img/none.svg", "img/none.svg")
	swap(">=12.3.0", "12", "from which Grafana on")
	swap("true", "false", "no backend")
	f("gpx_x_linux_arm64", "#!/bin/sh", "no program")
	f("img/logo.svg", `<svg><script>x</script></svg>`, "can run")
	f("img/logo.svg", `<svg onload="x"/>`, "can run")
	f("img/logo.svg", `<html/>`, "begins with")
	f("module.js", `define([],()=>window.grafanaBootData)`, "does not document")
	f("module.js", `export default 1`, "no AMD module")
	f("7.js", strings.Repeat("x", maxScript+1), "more than")
	f("module.js.map", `{"mappings":""}`, "does not hold the source")
	f(".env", "x", "does not belong")
	f("MANIFEST.txt", "x", "signed after")
}
