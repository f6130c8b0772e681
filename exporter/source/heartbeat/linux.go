package heartbeat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nocturne/exporter/source"
)

// maxFile is the most that is read of a file of facts; /proc/stat of a machine
// with 1024 processors has 200 KiB before its btime line.
const maxFile = 1 << 20

// linuxFacts reads the files below root. It returns what it could read, and an
// error only when nothing says which system this is.
func linuxFacts(root string) (Facts, error) {
	if root == "" {
		root = "/"
	}
	read := func(path string) string {
		f, err := os.Open(filepath.Join(root, path))
		if err != nil {
			return ""
		}
		defer func() { _ = f.Close() }() // only read
		b := make([]byte, maxFile)
		n := 0
		for n < len(b) {
			m, err := f.Read(b[n:])
			n += m
			if err != nil || m == 0 {
				break
			}
		}
		return strings.TrimSpace(string(b[:n]))
	}
	f := Facts{OSType: osType, Name: read("proc/sys/kernel/hostname"), OSBuild: read("proc/sys/kernel/osrelease")}
	if f.Name == "" && root == "/" {
		f.Name, _ = os.Hostname() // no name is no reason for no heartbeat
	}
	release := read("etc/os-release")
	if release == "" {
		release = read("usr/lib/os-release")
	}
	f.OSName, f.OSVersion = osRelease(release)
	f.BootTime = btime(read("proc/stat"))
	if id := read("etc/machine-id"); id != "uninitialized" {
		f.MachineID = id
	}
	f.SMBIOSUUID = source.UUID(read("sys/class/dmi/id/product_uuid")) // readable by root only
	f.Virtual = virtual(read("sys/class/dmi/id/sys_vendor"), read("sys/class/dmi/id/product_name"), read("proc/cpuinfo"))
	if f.OSName == "" && f.OSBuild == "" {
		return f, fmt.Errorf("read the system's release below %s: %w", root, errNoRelease)
	}
	return f, nil
}

var errNoRelease = errors.New("neither os-release nor the kernel's release is there")

// osRelease reads os-release(5): shell assignments, quoted or not.
func osRelease(text string) (name, version string) {
	vars := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(k, "#") {
			continue
		}
		if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
			v = v[1 : len(v)-1]
		}
		vars[k] = strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(v)
	}
	name = vars["PRETTY_NAME"]
	if name == "" {
		name = strings.TrimSpace(vars["NAME"] + " " + vars["VERSION"])
	}
	return name, vars["VERSION_ID"]
}

func btime(stat string) time.Time {
	for line := range strings.SplitSeq(stat, "\n") {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err != nil || n <= 0 {
				return time.Time{}
			}
			return time.Unix(n, 0)
		}
	}
	return time.Time{}
}

// hypervisors are words of system vendors and products that are not hardware.
var hypervisors = []string{
	"vmware", "virtualbox", "innotek", "qemu", "kvm", "xen", "bochs", "bhyve", "parallels", "openstack", "virtual machine", "hvm domu",
	"google compute engine", "amazon ec2", "droplet", "firecracker", "nutanix ahv", "ovirt", "rhev", "red hat hypervisor", "proxmox", "apple virtualization",
}

// virtual tells whether this is a virtual machine; nil when nothing says so
// either way. On a Windows machine with Hyper-V the processor's flag is set for
// the host too, so the words of the firmware come first.
func virtual(vendor, product, cpuinfo string) *bool {
	words := strings.ToLower(vendor + " " + product)
	for _, h := range hypervisors {
		if strings.Contains(words, h) {
			return ptr(true)
		}
	}
	for line := range strings.SplitSeq(cpuinfo, "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "flags" {
			if strings.Contains(v+" ", " hypervisor ") {
				return ptr(true)
			}
			return ptr(false)
		}
	}
	if strings.TrimSpace(words) == "" {
		return nil
	}
	return ptr(false)
}

func ptr(b bool) *bool { return &b }
