package source

import "os/exec"

// Child is a program that runs beside us, with everything that it starts.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// StartChild starts cmd without a shell or a window, under another account when
// user is not "" (not on Windows). Its pipes close at most two seconds after it
// ended, whoever holds them.
func StartChild(cmd *exec.Cmd, user string) (*Child, error) {
	tree, err := prepare(cmd, user)
	if err != nil {
		return nil, err
	}
	cmd.WaitDelay = killWait
	if err := cmd.Start(); err != nil {
		tree.close()
		return nil, err
	}
	tree.started(cmd.Process)
	c := &Child{cmd: cmd, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		tree.kill(cmd.Process) // what it left behind
		tree.killStrays()
		tree.close()
		close(c.done)
	}()
	return c, nil
}

// Done is closed when the program has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err says how it ended; call it after Done.
func (c *Child) Err() error { return c.err }

// Kill ends the program and everything that it started, and waits for that.
func (c *Child) Kill() {
	select {
	case <-c.done:
		return
	default:
	}
	_ = c.cmd.Process.Kill() // gone already, if it fails
	<-c.done
}
