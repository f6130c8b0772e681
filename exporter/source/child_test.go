package source

import (
	"bytes"
	"os/exec"
	"runtime"
	"testing"
)

func TestChildEndsWithWhatItStarted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("uses a shell")
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "sleep 1000 & echo started; wait")
	cmd.Stdout = &out
	c, err := StartChild(cmd, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Kill() // waits for the pipe, which the second program holds too
	if c.Err() == nil {
		t.Error("it ended well")
	}
	c.Kill() // again is nothing

	end := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exit 7")
	if c, err = StartChild(end, ""); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if c.Err() == nil || end.ProcessState.ExitCode() != 7 {
		t.Errorf("%v", c.Err())
	}
	if _, err := StartChild(exec.CommandContext(t.Context(), "/nowhere"), ""); err == nil {
		t.Error("a program that is not there was started")
	}
}
