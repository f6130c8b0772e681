package source

import "golang.org/x/sys/windows/registry"

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
