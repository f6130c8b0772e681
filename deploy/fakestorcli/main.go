// Fakestorcli answers like storcli64 from captured replies, for the tests that run the real exporter.
//
//	fakestorcli FOLDER STATE PATH show all J
//
// FOLDER is raid/scality.raidmgmt of the corpus: a controller whose drive in slot 12 goes from Onln to UGood, with its
// virtual drive deleted. STATE is a file whose text is "before" or "after". The capture has no list of all drives after
// the change; that one reply is put together from the list before and the drive's own reply after.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fakestorcli:", err)
		os.Exit(2)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) < 3 {
		return fmt.Errorf("want FOLDER STATE PATH, got %q", args)
	}
	folder, question := args[0], args[2]
	state, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	reply, err := answer(folder, question, strings.TrimSpace(string(state)) == "after")
	if err != nil {
		return err
	}
	_, err = out.Write(reply)
	return err
}

func answer(folder, question string, after bool) ([]byte, error) {
	pick := func(before, later string) ([]byte, error) {
		if after {
			before = later
		}
		return os.ReadFile(filepath.Join(folder, before))
	}
	switch question {
	case "/call":
		return pick("controllers__c0.json", "controllers__c0_s12_UGood.json")
	case "/call/vall":
		return pick("logicalvolumes__show__all.json", "logicalvolumes__show__all_NOv228.json")
	case "/call/eall/sall":
		if after {
			return allDrivesAfter(folder)
		}
		return os.ReadFile(filepath.Join(folder, "physicaldrives__show__all.json"))
	}
	return json.Marshal(map[string]any{"Controllers": []any{map[string]any{"Command Status": map[string]any{
		"Controller": 0, "Status": "Failure", "Description": "Un-supported command",
	}}}})
}

type reply struct {
	Controllers []struct {
		Status any                        `json:"Command Status"`
		Data   map[string]json.RawMessage `json:"Response Data"`
	}
}

// allDrivesAfter lays the reply of the one drive over the list of all.
func allDrivesAfter(folder string) ([]byte, error) {
	var all, one reply
	for name, into := range map[string]*reply{"physicaldrives__show__all.json": &all, "physicaldrives__show__e251s12_UGood.json": &one} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(into.Controllers) != 1 {
			return nil, fmt.Errorf("%s: %d controllers, want 1", name, len(into.Controllers))
		}
	}
	for key, value := range one.Controllers[0].Data {
		all.Controllers[0].Data[key] = value
	}
	return json.Marshal(all)
}
