// Command packplugin looks whether grafana-plugin/dist is whole and packs it as
// Grafana's installer takes it, one folder that is called like the plugin:
// bin/nocturne-fleet-app.zip.
package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

const (
	id  = "nocturne-fleet-app"
	out = "bin/" + id + ".zip"
)

// day stands for every file's time, so that the same content makes the same archive.
var day = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	dist := os.DirFS("grafana-plugin/dist")
	err := check(dist)
	var n int64
	if err == nil {
		n, err = pack(dist, out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packplugin:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: %d bytes\n", out, n)
}

// pack writes the files; programs keep their right to run.
func pack(dist fs.FS, to string) (size int64, err error) {
	for _, name := range []string{"module.js", "plugin.json"} {
		if _, err := fs.Stat(dist, name); err != nil {
			return 0, fmt.Errorf("build the plugin first: %w", err)
		}
	}
	if err := os.MkdirAll(path.Dir(to), 0o755); err != nil {
		return 0, err
	}
	f, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := zip.NewWriter(f)
	err = fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Name: path.Join(id, name), Method: zip.Deflate, Modified: day}
		h.SetMode(0o644)
		if strings.HasPrefix(name, "gpx_") {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
	if err := errors.Join(err, z.Close()); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
