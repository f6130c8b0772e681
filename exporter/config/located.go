package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var words = regexp.MustCompile(`"[^"]*"|[a-z0-9_]+`)

// located puts the line before an error of Validate, where its text begins
// with the keys that it is about, as in "heartbeat interval 10ms: write …" or
// `output "bridge": timeout …`. A value that is not in the file has no line.
func located(root *yaml.Node, err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, located(root, e))
		}
		return errors.Join(out...)
	}
	if line := lineOf(root, err.Error()); line > 0 {
		return fmt.Errorf("line %d: %w", line, err)
	}
	return err
}

// lineOf follows the words of a text into a document, as deep as they lead; 0
// when the first leads nowhere.
func lineOf(root *yaml.Node, text string) int {
	text, _, _ = strings.Cut(text, ": write")
	line, at := 0, root
	for i, word := range words.FindAllString(text, -1) {
		if i == 0 && word == "output" {
			word = "outputs"
		}
		k, v := child(at, word)
		if v == nil && i == 0 {
			return 0
		}
		if v == nil {
			continue
		}
		line, at = k.Line, v
	}
	return line
}

// child finds a key of a mapping, or the item of a list: by its number, counted
// from 1, or by its name, which is quoted.
func child(n *yaml.Node, word string) (k, v *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == word {
				return n.Content[i], n.Content[i+1]
			}
		}
	}
	if n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(word); err == nil && i > 0 && i <= len(n.Content) {
			return n.Content[i-1], n.Content[i-1]
		}
		name := strings.Trim(word, `"`)
		for _, item := range n.Content {
			if _, v := child(item, "name"); v != nil && v.Value == name {
				return item, item
			}
		}
	}
	return nil, nil
}
