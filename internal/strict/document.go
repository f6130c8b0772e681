package strict

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode lays the one YAML document of b over what into points to. An empty one changes nothing, and neither does one
// that does not fit.
func Decode(b []byte, into any) error {
	root, err := Document(bytes.NewReader(b))
	if root == nil || err != nil {
		return err
	}
	if err := Mistakes(root, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	return root.Decode(into)
}

// hints say what is probably wrong where the YAML package only says what it met.
var hints = map[string]string{
	"found character that cannot start any token":                  "indent with spaces, not with tabs, and quote a value that begins with @ or a backquote",
	"found unexpected end of stream":                               "a quotation mark is not closed",
	"mapping values are not allowed in this context":               "look at the indentation, and quote a value that holds a colon and a space",
	"did not find expected key":                                    "from there on, look for keys of one level that do not begin in the same column",
	"did not find expected '-' indicator":                          "from there on, look for items of one list that do not begin in the same column, each with -",
	"did not find expected ',' or ']'":                             "a bracket is not closed, or a comma is missing",
	"did not find expected ',' or '}'":                             "a brace is not closed, or a comma is missing",
	"could not find expected ':'":                                  "write KEY: VALUE, with a space behind the colon",
	"found unknown escape character":                               "write paths of Windows in single quotation marks",
	"did not find expected hexdecimal number":                      "write paths of Windows in single quotation marks",
	"found a tab character that violates indentation":              "indent with spaces, not with tabs",
	"found a tab character where an indentation space is expected": "indent with spaces, not with tabs",
}

// syntax puts a hint behind what the YAML package says.
func syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	for said, hint := range hints {
		if strings.HasSuffix(text, said) {
			text += ": " + hint
			break
		}
	}
	return errors.New(text)
}

// Document returns the root of the one YAML document; nil where it is empty.
func Document(r io.Reader) (*yaml.Node, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(r)
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntax(err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document: keep one")
	}
	if len(doc.Content) == 0 { // empty, or comments
		return nil, nil
	}
	return doc.Content[0], nil
}
