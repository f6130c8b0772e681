package raid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// answer is a tool and its reply to the first question of a round.
type answer struct {
	command []string
	first   []byte // its reply
	// beside says that another generation's controllers are numbered from c0 too.
	beside bool
}

// besidePrefix stands before the places of storcli2's and perccli2's controllers
// on a machine where storcli or perccli knows some too: both count from c0.
const besidePrefix = "storcli2:"

// answering returns the tools to ask, and errors of those that did not answer.
// Tools of one generation see the same cards, so the first of them that knows a
// controller is asked; the two generations see different ones, so both are. all
// says that every generation there is has answered.
func (r *Reader) answering(ctx context.Context) (tools []answer, all bool, failed []error) {
	candidates, err := r.commands()
	if err != nil {
		return nil, false, []error{err}
	}
	var none []answer // answered, and know no controller
	var knows [2]bool
	for g := range r.found {
		mine := slices.DeleteFunc(slices.Clone(candidates), func(c []string) bool { return generation(c) != g })
		t, known, err := r.oneOf(ctx, g, mine)
		if err != nil {
			failed = append(failed, err)
		}
		switch knows[g] = known; {
		case known:
			// Only an answer of the first generation that it knows nothing lets the
			// second have the plain places; one that fails may know controllers.
			r.alone = g == 1 && !knows[0] && (r.alone || len(failed) == 0)
			t.beside = g == 1 && !r.alone
			tools = append(tools, t)
		case t.first != nil:
			none = append(none, t)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(tools) == 0 && len(none) > 0 {
		tools = none[:1]
	}
	return tools, len(failed) == 0, failed
}

// generation is 1 for storcli2 and perccli2, 0 for those before.
func generation(command []string) int {
	name := strings.ToLower(filepath.Base(command[0]))
	if strings.HasSuffix(strings.TrimSuffix(name, ".exe"), "2") {
		return 1
	}
	return 0
}

// oneOf asks candidates until one knows a controller. An error is about one
// that did not answer while no other knew a controller.
func (r *Reader) oneOf(ctx context.Context, g int, candidates [][]string) (t answer, knows bool, err error) {
	if r.found[g] != nil && slices.ContainsFunc(candidates, func(c []string) bool { return c[0] == r.found[g][0] }) {
		candidates = [][]string{r.found[g]}
	}
	var failed []error
	for _, c := range candidates {
		first, err := r.ask(ctx, c, question{"/call", "all"})
		if err != nil {
			failed = append(failed, err)
			continue
		}
		snap, _, err := Parse(first)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		t = answer{command: c, first: first}
		if slices.ContainsFunc(snap.Devices, func(d record.Device) bool { return d.Type == record.DeviceController }) {
			r.found[g] = c
			return t, true, nil
		}
	}
	r.found[g] = nil // look at all of them the next time
	return t, false, errors.Join(failed...)
}

// putBeside moves what was read to the places of a second numbering.
func putBeside(s *record.Snapshot, problems []Problem) {
	for i := range s.Devices {
		s.Devices[i].Place = besidePrefix + s.Devices[i].Place
	}
	for i := range s.Sections {
		if s.Sections[i].Scope != "" {
			s.Sections[i].Scope = besidePrefix + s.Sections[i].Scope
		}
	}
	for i := range problems {
		if problems[i].Place != "" {
			problems[i].Place = besidePrefix + problems[i].Place
		}
	}
}

// notAll takes back that every controller was observed, for a tool that is not
// the only one.
func notAll(s *record.Snapshot) {
	everywhere := record.Section{Type: record.DeviceController}
	if !slices.Contains(s.Sections, everywhere) {
		return
	}
	s.Sections = slices.DeleteFunc(s.Sections, func(sec record.Section) bool { return sec.Type == record.DeviceController })
	for _, d := range s.Devices {
		if d.Type == record.DeviceController {
			s.Sections = append(s.Sections, record.Section{Type: record.DeviceController, Scope: d.Place})
		}
	}
}

// commands returns the tools that there are.
func (r *Reader) commands() ([][]string, error) {
	if len(r.o.Command) > 0 {
		return [][]string{r.o.Command}, source.CheckTool(r.o.Command[0])
	}
	var out [][]string
	for _, path := range r.places {
		switch err := source.CheckTool(path); {
		case err == nil:
			out = append(out, []string{path})
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, fmt.Errorf("find storcli, storcli2 or perccli in the usual places: %w", errors.ErrUnsupported)
}

func usualPaths() []string {
	if runtime.GOOS != "windows" {
		return []string{
			"/opt/MegaRAID/storcli/storcli64", "/opt/MegaRAID/storcli2/storcli2", "/opt/MegaRAID/perccli/perccli64", "/opt/MegaRAID/perccli2/perccli2",
			"/usr/local/sbin/storcli64", "/usr/sbin/storcli64", "/usr/local/sbin/storcli2", "/usr/sbin/storcli2", "/usr/sbin/perccli64", "/usr/local/sbin/perccli64", "/usr/sbin/perccli2", "/usr/local/sbin/perccli2",
		}
	}
	var out []string
	for _, dir := range []string{os.Getenv("ProgramFiles"), os.Getenv("ProgramFiles(x86)")} {
		if !filepath.IsAbs(dir) {
			continue
		}
		for _, p := range []string{
			`Broadcom\StorCLI\storcli64.exe`, `Broadcom\StorCLI2\storcli2.exe`, `LSI\StorCLI\storcli64.exe`, `MegaRAID\storcli\storcli64.exe`,
			`MegaRAID Storage Manager\StorCLI64.exe`, `Dell\PERCCLI\perccli64.exe`, `Dell\PERCCLI2\perccli2.exe`, `Dell\SysMgt\PERCCLI\perccli64.exe`, `Lenovo\StorCLI\storcli64.exe`,
		} {
			out = append(out, filepath.Join(dir, p))
		}
	}
	return out
}
