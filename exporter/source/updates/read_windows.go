package updates

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows/registry"

	"nocturne/exporter/source"
)

func environment() []string { return nil }

// read asks the registry, and the agent through a child of this program. What
// the registry says is stated even when the agent says nothing.
func (r *Reader) read(ctx context.Context) (*Report, error) {
	report := &Report{Status: readFacts().status()}
	child := r.o.Child
	if child == nil {
		exe, err := os.Executable()
		if err != nil {
			return report, fmt.Errorf("find this program: %w", err)
		}
		child = []string{exe, Subcommand}
	}
	out, err := r.o.Run(ctx, child[0], append(append([]string(nil), child[1:]...), fmt.Sprint(r.o.Online))...)
	if err != nil {
		return report, err
	}
	a, err := parseAnswer(out)
	if err != nil {
		return report, err
	}
	return report, report.fill(a)
}

const (
	policyKey  = `SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	machineKey = `SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update`
)

// readFacts reads the registry. What is not there is the default.
func readFacts() facts {
	f := facts{start: -1}
	f.server = source.RegistryText(registry.LOCAL_MACHINE, policyKey, "WUServer")
	f.useServer = number32(policyKey+`\AU`, "UseWUServer") == 1
	f.noAuto = number32(policyKey+`\AU`, "NoAutoUpdate") == 1
	if f.options = number32(policyKey+`\AU`, "AUOptions"); f.options == 0 {
		f.options = number32(machineKey, "AUOptions")
	}
	if n, ok := source.RegistryNumber(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\wuauserv`, "Start"); ok {
		f.start = n
	}
	f.pendingCBS = source.RegistryHas(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
	f.requiredWU = source.RegistryHas(registry.LOCAL_MACHINE, machineKey+`\RebootRequired`)
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Control\Session Manager`, registry.QUERY_VALUE)
	if err == nil {
		defer func() { _ = k.Close() }() // only read
		names, _, err := k.GetStringsValue("PendingFileRenameOperations")
		f.renames = err == nil && len(names) > 0 || errors.Is(err, registry.ErrUnexpectedType)
	}
	return f
}

func number32(key, name string) int64 {
	n, _ := source.RegistryNumber(registry.LOCAL_MACHINE, key, name)
	return n
}
