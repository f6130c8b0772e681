package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"nocturne/exporter/source"
	"nocturne/exporter/source/check"
	"nocturne/internal/strict"
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
	files, err := os.ReadDir(c.Check.Folder) // sorted
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return out, nil
		}
		return out, []error{fmt.Errorf("check folder, whose checks do not run: %w", err)}
	}
	var errs []error
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".yml") {
			continue
		}
		f := filepath.Join(c.Check.Folder, file.Name())
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
	root, err := strict.Document(bytes.NewReader(b))
	if err != nil {
		return check.Spec{}, err
	}
	if root == nil {
		return check.Spec{}, errors.New("empty: write at least a command")
	}
	if err := strict.Mistakes(root, reflect.TypeFor[check.Spec]()); err != nil {
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
