package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"nocturne/exporter/source"
	"nocturne/exporter/source/check"
)

// maxCheckFile bounds a check file; a check is a few lines.
const maxCheckFile = 64 << 10

// checkFolder is where packages and people put check files.
func checkFolder() string { return filepath.Join(filepath.Dir(DefaultPath()), "checks.d") }

// AllChecks returns the checks of the file and of the check folder. The errors
// are about the check files that are left out, each with its name and line: one
// that is wrong does not stop the others, nor the exporter.
func (c *Config) AllChecks() ([]check.Spec, []error) {
	out := c.Check.Checks[:len(c.Check.Checks):len(c.Check.Checks)]
	if c.Check.Folder == "" {
		return out, nil
	}
	files, err := filepath.Glob(filepath.Join(c.Check.Folder, "*.yml"))
	if err != nil {
		return out, []error{fmt.Errorf("check folder: %w", err)}
	}
	var errs []error
	for _, f := range files { // sorted
		spec, err := checkFile(f)
		if err == nil {
			err = check.Distinct(append(out[:len(out):len(out)], spec))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("check file %s: %w", f, err))
			continue
		}
		out = append(out, spec)
	}
	return out, errs
}

// checkFile reads one check; its name is the file's unless it says another. A
// file names a program, so it has to be as safe as one.
func checkFile(path string) (check.Spec, error) {
	if err := source.CheckTool(path); err != nil {
		return check.Spec{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return check.Spec{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCheckFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return check.Spec{}, err
	}
	if len(b) > maxCheckFile {
		return check.Spec{}, fmt.Errorf("over %d bytes: write one check", maxCheckFile)
	}
	return decodeCheck(b, strings.TrimSuffix(filepath.Base(path), ".yml"))
}

func decodeCheck(b []byte, name string) (check.Spec, error) {
	root, err := document(bytes.NewReader(b))
	if err != nil {
		return check.Spec{}, err
	}
	if root == nil {
		return check.Spec{}, errors.New("empty: write at least a command")
	}
	if err := mistakes(root, reflect.TypeFor[check.Spec]()); err != nil {
		return check.Spec{}, err
	}
	var spec check.Spec
	if err := root.Decode(&spec); err != nil {
		return check.Spec{}, err
	}
	if spec.Name == "" {
		spec.Name = name
	}
	if err := spec.Validate(); err != nil {
		return check.Spec{}, located(root, err)
	}
	return spec, nil
}

// document returns the root of the one YAML document; nil where it is empty.
func document(r io.Reader) (*yaml.Node, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(r)
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document: keep one")
	}
	if len(doc.Content) == 0 { // empty, or comments
		return nil, nil
	}
	return doc.Content[0], nil
}
