package record

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestBuiltinDevicesAreAll: a Device constant that is missing in the list is a
// type that a check's plugin could pose as.
func TestBuiltinDevicesAreAll(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "Device") || len(spec.Values) != 1 {
				return true
			}
			if typ, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value); err != nil || !BuiltinDevice(typ) {
				t.Errorf("%s = %q is not in deviceTypes", spec.Names[0].Name, typ)
			}
			n++
			return true
		})
	}
	if n != len(deviceTypes) {
		t.Errorf("%d Device constants, %d device types", n, len(deviceTypes))
	}
}
