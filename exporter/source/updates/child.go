package updates

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"nocturne/exporter/limit"
)

// Subcommand is the hidden subcommand of the program that asks the Windows
// Update Agent: its main calls Child when it is its first argument. A search
// may hang for as long as it likes, and the agent's library has crashed
// programs; neither ends the exporter.
const Subcommand = "updates-child"

// Child asks the agent once and writes its answer to out as JSON. args are
// "true" or "false" for an online search. It returns the exit code.
func Child(args []string, out, complaints io.Writer) int {
	online := false
	err := fmt.Errorf("%s: want true or false for an online search", Subcommand)
	if len(args) == 1 {
		online, err = strconv.ParseBool(args[0])
	}
	if err == nil {
		err = limit.Memory(limit.ChildMemory)
	}
	var a *answer
	if err == nil {
		a, err = ask(online)
	}
	if err == nil {
		err = json.NewEncoder(out).Encode(a)
	}
	if err != nil {
		fmt.Fprintln(complaints, err)
		return 1
	}
	return 0
}
