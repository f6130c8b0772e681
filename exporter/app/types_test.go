package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// TestPluginsCannotPose: every device type that a source of ours states is
// refused to the plugins of checks. One that is missing in record's deviceTypes
// is a type that a plugin could fire our rules with.
func TestPluginsCannotPose(t *testing.T) {
	files, err := filepath.Glob("../../internal/record/*.go")
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
			if typ, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value); err != nil || !record.BuiltinDevice(typ) {
				t.Errorf("add %s = %q to deviceTypes in internal/record/check.go", spec.Names[0].Name, typ)
			}
			n++
			return true
		})
	}
	if n < 15 {
		t.Errorf("only %d Device constants found", n)
	}
}
