// Schemats writes the TypeScript types of the ruler's API into a file; it is
// run by go generate ./ruler/api.
package main

import (
	"fmt"
	"os"

	"nocturne/ruler/api"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemats:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name the file to write")
	}
	b, err := api.TypeScript()
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], b, 0o644)
}
