package spool

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
)

var (
	errPower = errors.New("power is off")
	errSpace = errors.New("no space left on device")
	errSync  = errors.New("input/output error")
)

// crashFS is a disk in memory that a test can pull the plug of. What was not
// synced is then lost, kept or torn, as the dice say: every write to a file on
// its own, operations on the directory in their order, as journals do.
type crashFS struct {
	mu     sync.Mutex // of its files: appends and reads are concurrent
	files  map[string]*crashInode
	onDisk map[string]*crashInode // the directory as the last SyncDir left it
	dirOps []func(map[string]*crashInode)
	plug   *plug
}

// plug is shared by the file systems of one machine.
type plug struct {
	ops   int
	at    int // power fails in this operation; 0 = never
	off   bool
	space int // this many writes fail first, without harm
	sync  int // this sync fails; 0 = none
}

type crashInode struct {
	data    []byte
	durable []byte
	pending []crashWrite
}

type crashWrite struct {
	off  int64
	data []byte
	cut  bool // truncate to off
}

func newCrashFS(p *plug) *crashFS {
	return &crashFS{files: map[string]*crashInode{}, onDisk: map[string]*crashInode{}, plug: p}
}

func (p *plug) op() error {
	if p.off {
		return errPower
	}
	p.ops++
	if p.at > 0 && p.ops >= p.at {
		p.off = true
		return errPower
	}
	return nil
}

func (c *crashFS) dirOp(op func(map[string]*crashInode)) error {
	if err := c.plug.op(); err != nil {
		if errors.Is(err, errPower) && c.plug.ops == c.plug.at {
			c.dirOps = append(c.dirOps, op) // it may just have made it
		}
		return err
	}
	op(c.files)
	c.dirOps = append(c.dirOps, op)
	return nil
}

func (c *crashFS) Create(name string) (File, error) {
	n := &crashInode{}
	if err := c.dirOp(func(d map[string]*crashInode) { d[name] = n }); err != nil {
		return nil, err
	}
	return &crashFile{c, n}, nil
}

func (c *crashFS) Open(name string) (File, error) {
	if c.plug.off {
		return nil, errPower
	}
	n, ok := c.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &crashFile{c, n}, nil
}

func (c *crashFS) Rename(from, to string) error {
	n, ok := c.files[from]
	if !ok {
		return fs.ErrNotExist
	}
	return c.dirOp(func(d map[string]*crashInode) { delete(d, from); d[to] = n })
}

func (c *crashFS) Remove(name string) error {
	if _, ok := c.files[name]; !ok {
		return fs.ErrNotExist
	}
	return c.dirOp(func(d map[string]*crashInode) { delete(d, name) })
}

func (c *crashFS) List() ([]string, error) {
	if c.plug.off {
		return nil, errPower
	}
	names := slices.Collect(maps.Keys(c.files))
	sort.Strings(names)
	return names, nil
}

func (c *crashFS) SyncDir() error {
	if err := c.plug.op(); err != nil {
		return err
	}
	for _, op := range c.dirOps {
		op(c.onDisk)
	}
	c.dirOps = nil
	return nil
}

type crashFile struct {
	fs *crashFS
	n  *crashInode
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.plug.off {
		return 0, errPower
	}
	if off >= int64(len(f.n.data)) {
		return 0, errEOF
	}
	n := copy(b, f.n.data[off:])
	if n < len(b) {
		return n, errEOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	w := crashWrite{off: off, data: slices.Clone(b)}
	if err := f.fs.plug.op(); err != nil {
		if f.fs.plug.ops == f.fs.plug.at {
			f.n.pending = append(f.n.pending, w)
		}
		return 0, err
	}
	if f.fs.plug.space > 0 {
		f.fs.plug.space--
		half := crashWrite{off: off, data: w.data[:len(b)/2]}
		f.n.data = half.apply(f.n.data)
		f.n.pending = append(f.n.pending, half)
		return len(half.data), errSpace
	}
	f.n.data = w.apply(f.n.data)
	f.n.pending = append(f.n.pending, w)
	return len(b), nil
}

func (w *crashWrite) apply(data []byte) []byte {
	if w.cut {
		if int64(len(data)) > w.off {
			return slices.Clone(data[:w.off])
		}
		return append(data, make([]byte, w.off-int64(len(data)))...)
	}
	if end := w.off + int64(len(w.data)); int64(len(data)) < end {
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[w.off:], w.data)
	return data
}

func (f *crashFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.plug.op(); err != nil {
		return err
	}
	if f.fs.plug.sync > 0 {
		if f.fs.plug.sync--; f.fs.plug.sync == 0 {
			return errSync
		}
	}
	f.n.durable, f.n.pending = slices.Clone(f.n.data), nil
	return nil
}

func (f *crashFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.plug.op(); err != nil {
		return err
	}
	w := crashWrite{off: size, cut: true}
	f.n.data = w.apply(f.n.data)
	f.n.pending = append(f.n.pending, w)
	return nil
}

func (f *crashFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.plug.off {
		return 0, errPower
	}
	return int64(len(f.n.data)), nil
}

func (f *crashFile) Close() error { return nil }

// boot returns the disk as it is found after a power loss.
func (c *crashFS) boot(rng *rand.Rand, p *plug) *crashFS {
	d := newCrashFS(p)
	dir := maps.Clone(c.onDisk)
	for _, op := range c.dirOps[:rng.IntN(len(c.dirOps)+1)] {
		op(dir)
	}
	for name, n := range dir {
		data := slices.Clone(n.durable)
		for _, w := range n.pending {
			switch rng.IntN(3) {
			case 0:
				data = w.apply(data)
			case 1:
				if len(w.data) > 0 {
					torn := crashWrite{off: w.off, data: w.data[:rng.IntN(len(w.data))]}
					data = torn.apply(data)
				}
			}
		}
		m := &crashInode{data: data, durable: slices.Clone(data)}
		d.files[name], d.onDisk[name] = m, m
	}
	return d
}
