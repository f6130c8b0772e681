// Package limit bounds what a process of this program may take, and ties the
// life of a child to its parent's.
//
// Memory bounds the memory of the calling process: by an address space limit on
// Linux, by a job object on Windows. Hide makes a command a child without a
// window that, on Linux, dies with the thread that starts it: that thread has
// to be kept (runtime.LockOSThread). Elsewhere a child has to notice by itself
// that its pipes have ended.
package limit
