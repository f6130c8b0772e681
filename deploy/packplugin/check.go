package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"
)

// targets are the machines that Grafana's servers are: it starts executable_system_processor.
var targets = []string{"linux_amd64", "linux_arm64", "windows_amd64.exe"}

// maxScript is how much one script may hold, raw: what a page does not need at once is a chunk of its own.
const maxScript = 512 << 10

// metadata is what is looked at of plugin.json.
type metadata struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Name       string `json:"name"`
	Backend    bool   `json:"backend"`
	Executable string `json:"executable"`
	Info       struct {
		Description string `json:"description"`
		Version     string `json:"version"`
		Updated     string `json:"updated"`
		Author      struct {
			Name string `json:"name"`
		} `json:"author"`
		Logos struct {
			Small string `json:"small"`
			Large string `json:"large"`
		} `json:"logos"`
		Screenshots []struct {
			Path string `json:"path"`
		} `json:"screenshots"`
	} `json:"info"`
	Includes []struct {
		Name string `json:"name"`
		Type string `json:"type"`
		Path string `json:"path"`
		Role string `json:"role"`
	} `json:"includes"`
	Dependencies struct {
		Grafana string `json:"grafanaDependency"`
	} `json:"dependencies"`
}

var version = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// check says all that keeps Grafana from loading dist, or that its validator
// (github.com/grafana/plugin-validator) finds in a package, as far as neither
// network nor signature are needed for it; nil where all is well.
func check(dist fs.FS) error {
	var found []error
	say := func(ok bool, format string, args ...any) {
		if !ok {
			found = append(found, fmt.Errorf(format, args...))
		}
	}
	b, err := fs.ReadFile(dist, "plugin.json")
	if err != nil {
		return err
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("plugin.json: %w", err)
	}
	say(!bytes.ContainsRune(b, '%'), "plugin.json: a placeholder in %%…%% was not filled")
	say(m.ID == id && m.Type == "app" && m.Name != "" && m.Info.Author.Name != "" && m.Info.Description != "", "plugin.json: id %s, type app, name, author and description are needed", id)
	say(version.MatchString(m.Info.Version), "plugin.json: version %q is not of the form 1.2.3", m.Info.Version)
	_, err = time.Parse(time.DateOnly, m.Info.Updated)
	say(err == nil, "plugin.json: updated %q is no day", m.Info.Updated)
	say(strings.HasPrefix(m.Dependencies.Grafana, ">="), "plugin.json: grafanaDependency %q does not say from which Grafana on", m.Dependencies.Grafana)
	for _, i := range m.Includes {
		own := strings.HasPrefix(i.Path, "/a/"+id+"/") || i.Path == "/plugins/"+id
		say(i.Type == "page" && i.Name != "" && own && slices.Contains([]string{"Viewer", "Editor", "Admin"}, i.Role), "plugin.json: include %q (%s, role %q) is no page of the app", i.Name, i.Path, i.Role)
	}
	pictures := []string{m.Info.Logos.Small, m.Info.Logos.Large}
	for _, s := range m.Info.Screenshots {
		pictures = append(pictures, s.Path)
	}
	for _, name := range pictures {
		err := checkPicture(dist, name)
		say(err == nil, "plugin.json: picture %q: %w", name, err)
	}
	for _, name := range []string{"module.js", "module.js.map", "README.md", "CHANGELOG.md", "LICENSE", "go_plugin_build_manifest"} {
		info, err := fs.Stat(dist, name)
		say(err == nil && info.Size() > 0, "%s is missing or empty", name)
	}
	say(m.Backend && m.Executable != "", "plugin.json: no backend is named")
	for _, t := range targets {
		say(isProgram(dist, m.Executable+"_"+t), "%s_%s is missing or no program: grafana-plugin/backend makes it", m.Executable, t)
	}
	found = append(found, checkFiles(dist)...)
	return errors.Join(found...)
}

// checkFiles looks at every file: what must not be in a package, and scripts.
func checkFiles(dist fs.FS) (found []error) {
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch {
		case !d.Type().IsRegular():
			found = append(found, fmt.Errorf("%s is no plain file", name))
		case strings.HasPrefix(name, ".") || strings.Contains(name, "/.") || strings.Contains(name, "node_modules"):
			found = append(found, fmt.Errorf("%s does not belong into a package", name))
		case name == "MANIFEST.txt": // a signature names every file's hash: it is made of the finished package
			found = append(found, fmt.Errorf("%s: the package is signed after it is packed, not before", name))
		case strings.HasSuffix(name, ".js"):
			b, err := fs.ReadFile(dist, name)
			if err != nil {
				return err
			}
			found = append(found, checkScript(dist, name, b)...)
		}
		return nil
	})
	if err != nil {
		found = append(found, err)
	}
	return found
}

// undocumented are names that plugins reach Grafana's insides by.
var undocumented = regexp.MustCompile(`\bgrafanaBootData\b|\bwindow\.grafanaRuntime\b|__grafana_public_path__|angular\.module\(`)

func checkScript(dist fs.FS, name string, b []byte) (found []error) {
	if len(b) > maxScript {
		found = append(found, fmt.Errorf("%s has %d bytes, more than %d: load a part of it when it is needed", name, len(b), maxScript))
	}
	if at := undocumented.Find(b); at != nil {
		found = append(found, fmt.Errorf("%s uses %q, which Grafana does not document", name, at))
	}
	if name == "module.js" {
		if !bytes.Contains(b, []byte("define([")) {
			found = append(found, fmt.Errorf("%s is no AMD module, as Grafana loads them", name))
		}
		if m, err := fs.ReadFile(dist, name+".map"); err == nil && !bytes.Contains(m, []byte(`"sourcesContent"`)) {
			found = append(found, fmt.Errorf("%s.map does not hold the source", name))
		}
	}
	return found
}

// checkPicture wants one that is there, and an SVG that can run nothing.
func checkPicture(dist fs.FS, name string) error {
	b, err := fs.ReadFile(dist, name)
	if err != nil || !strings.HasSuffix(name, ".svg") {
		return err
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	var seen int
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && seen > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		seen++
		if seen == 1 && e.Name.Local != "svg" {
			return fmt.Errorf("begins with <%s>", e.Name.Local)
		}
		if slices.Contains([]string{"script", "foreignObject", "iframe"}, e.Name.Local) || slices.ContainsFunc(e.Attr, func(a xml.Attr) bool { return strings.HasPrefix(strings.ToLower(a.Name.Local), "on") }) {
			return fmt.Errorf("<%s> can run something", e.Name.Local)
		}
	}
}

// isProgram tells a program of Linux or Windows by how it begins.
func isProgram(dist fs.FS, name string) bool {
	f, err := dist.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	want := "\x7fELF"
	if strings.HasSuffix(name, ".exe") {
		want = "MZ"
	}
	begin := make([]byte, len(want))
	_, err = io.ReadFull(f, begin)
	return err == nil && string(begin) == want
}
