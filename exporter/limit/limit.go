// Package limit bounds what a process of this program may take, and ties the
// life of a child to its parent's.
//
// Memory bounds the memory of the calling process: by an address space limit on
// Linux, by a job object on Windows; Process bounds its processor time too, so
// that a loop ends although nobody watches any more. Hide makes a command a child without a
// window that, on Linux, dies with the thread that starts it: that thread has
// to be kept, as Start does. Elsewhere a child has to notice by itself that its
// pipes have ended.
package limit

import (
	"os/exec"
	"runtime"
)

// Start starts a hidden child and keeps the thread for it. The channel gets its
// end, once; release, if it is not nil, is called when the child has what it
// inherits, or was not started.
func Start(cmd *exec.Cmd, release func()) (<-chan error, error) {
	Hide(cmd)
	started, done := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := cmd.Start()
		if release != nil {
			release()
		}
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	return done, <-started
}
