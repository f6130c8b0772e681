package source

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/windows/registry"
)

// RegistryText reads a text of the registry, "" when there is none. Keys are
// read in the 64-bit view.
func RegistryText(root registry.Key, path, name string) string {
	k, err := registry.OpenKey(root, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return ""
	}
	defer func() { _ = k.Close() }() // only read
	v, _, err := k.GetStringValue(name)
	if err != nil {
		return ""
	}
	return v
}

// RegistryNumber reads a number of the registry; false when there is none.
func RegistryNumber(root registry.Key, path, name string) (int64, bool) {
	k, err := registry.OpenKey(root, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return 0, false
	}
	defer func() { _ = k.Close() }() // only read
	v, _, err := k.GetIntegerValue(name)
	return int64(v), err == nil
}

// RegistryHas tells whether there is such a key.
func RegistryHas(root registry.Key, path string) bool {
	k, err := registry.OpenKey(root, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return false
	}
	_ = k.Close() // only opened
	return true
}

// RegistryEach opens the keys below a key of the machine, at most limit of
// them, and calls f until it answers false. A key that cannot be opened is left
// out; that there is no such path is an error.
func RegistryEach(path string, view uint32, limit int, f func(name string, k registry.Key) bool) error {
	parent, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.ENUMERATE_SUB_KEYS|view)
	if err != nil {
		return fmt.Errorf("registry %s: %w", path, err)
	}
	defer func() { _ = parent.Close() }() // only read
	names, err := parent.ReadSubKeyNames(limit)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("registry %s: %w", path, err)
	}
	for _, name := range names {
		k, err := registry.OpenKey(parent, name, registry.QUERY_VALUE|registry.ENUMERATE_SUB_KEYS|view)
		if err != nil {
			continue
		}
		more := f(name, k)
		_ = k.Close() // only read
		if !more {
			break
		}
	}
	return nil
}

// UnderWine tells whether this is not a Windows: some calls that are safe
// there end the process here.
func UnderWine() bool { return wineVersion.Find() == nil }
