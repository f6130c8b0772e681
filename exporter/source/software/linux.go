package software

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/exporter/source"
)

// maxOutput bounds what dpkg-query and rpm write: 16,384 lines have 2 MiB.
const maxOutput = 16 << 20

// readLinux asks the package manager that has a database, and /sys.
func (r *Reader) readLinux(ctx context.Context) (inventory, error) {
	var in inventory
	var errs []error
	var out []byte
	var err error
	switch {
	case r.has("var/lib/dpkg/status"):
		if out, err = r.tool(ctx, "/usr/bin/dpkg-query", "-W", "-f", `${binary:Package}\t${Version}\t${db:Status-Status}\n`); err == nil {
			in.programs, in.programsKnown = parseDPKG(out), true
		}
	case r.has("var/lib/rpm") || r.has("usr/lib/sysimage/rpm"):
		if out, err = r.tool(ctx, "/usr/bin/rpm", "-qa", "--qf", `%{NAME}\t%{ARCH}\t%{EPOCHNUM}\t%{VERSION}-%{RELEASE}\t%{VENDOR}\t%{INSTALLTIME}\n`); err == nil {
			in.programs, in.programsKnown = parseRPM(out), true
		}
	}
	errs = append(errs, err)
	in.drivers, err = r.modules()
	in.driversKnown = err == nil
	return in, errors.Join(append(errs, err)...)
}

func (r *Reader) path(parts ...string) string {
	return filepath.Join(append([]string{r.o.Root}, parts...)...)
}

func (r *Reader) has(name string) bool {
	_, err := os.Stat(r.path(name))
	return err == nil
}

// tool runs a tool that only an administrator can replace. Where the root is
// not the machine's, the runner is a test's.
func (r *Reader) tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	if r.o.Root == "/" {
		if err := source.CheckTool(name); err != nil {
			return nil, err
		}
	}
	return r.o.Run(ctx, name, args...)
}

// lines calls f for the fields of every line that has as many as wanted.
func lines(b []byte, want int, f func(fields []string)) {
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, maxOutput)
	for sc.Scan() {
		if fields := strings.Split(sc.Text(), "\t"); len(fields) == want && fields[0] != "" {
			f(fields)
		}
	}
}

// parseDPKG reads name, version and status. What was removed and left its
// configuration is not installed.
func parseDPKG(b []byte) []Program {
	list := []Program{}
	lines(b, 3, func(f []string) {
		switch f[2] {
		case "not-installed", "config-files":
			return
		}
		list = append(list, Program{Name: f[0], Version: f[1]})
	})
	return list
}

// parseRPM reads name, architecture, epoch, version, vendor and time. The
// vendor of most packages is the distribution's own and not repeated.
func parseRPM(b []byte) []Program {
	list, vendors := []Program{}, map[string]int{}
	lines(b, 6, func(f []string) {
		p := Program{Name: f[0], Version: f[3], Publisher: f[4]}
		if f[1] != "(none)" && f[1] != "noarch" {
			p.Name += "." + f[1]
		}
		if f[2] != "0" && f[2] != "(none)" {
			p.Version = f[2] + ":" + p.Version
		}
		if p.Publisher == "(none)" {
			p.Publisher = ""
		}
		if n, err := strconv.ParseInt(f[5], 10, 64); err == nil && n > 0 && n < 1<<40 {
			p.Installed = time.Unix(n, 0).UTC().Format(time.DateOnly)
		}
		vendors[p.Publisher]++
		list = append(list, p)
	})
	for i := range list {
		if 2*vendors[list[i].Publisher] > len(list) {
			list[i].Publisher = ""
		}
	}
	return list
}

// taints are the letters of /sys/module/NAME/taint (Documentation/admin-guide/
// tainted-kernels.rst).
var taints = map[rune]string{'P': "proprietary", 'O': "out of tree", 'F': "forced", 'C': "staging", 'E': "unsigned"}

// modules returns the modules that drive devices: a driver of a bus that has a
// module and a device. What is built into the kernel has no module.
func (r *Reader) modules() ([]Driver, error) {
	buses, err := os.ReadDir(r.path("sys/bus"))
	if err != nil {
		return nil, fmt.Errorf("list the drivers: %w", err)
	}
	byModule := map[[2]string]*Driver{}
	for _, bus := range buses {
		list, err := os.ReadDir(r.path("sys/bus", bus.Name(), "drivers"))
		if err != nil {
			continue // a bus without drivers
		}
		for _, driver := range list {
			dir := r.path("sys/bus", bus.Name(), "drivers", driver.Name())
			target, err := os.Readlink(filepath.Join(dir, "module"))
			if err != nil {
				continue
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				continue // it was unloaded meanwhile
			}
			n := 0
			for _, e := range entries {
				if e.Type()&os.ModeSymlink != 0 && e.Name() != "module" {
					n++
				}
			}
			if n == 0 {
				continue
			}
			module := filepath.Base(target)
			key := [2]string{module, bus.Name()}
			if d := byModule[key]; d != nil {
				d.Devices += n
				continue
			}
			byModule[key] = &Driver{Name: module, Bus: bus.Name(), Version: r.word(module, "version"), Source: r.word(module, "srcversion"), Taint: tainted(r.word(module, "taint")), Devices: n}
		}
	}
	var out []Driver
	for _, d := range byModule {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Driver) int { return strings.Compare(a.Name+" "+a.Bus, b.Name+" "+b.Bus) })
	return out, nil
}

func tainted(letters string) string {
	var words []string
	for _, l := range letters {
		if w := taints[l]; w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, ", ")
}

func (r *Reader) word(module, name string) string {
	f, err := os.Open(r.path("sys/module", module, name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
