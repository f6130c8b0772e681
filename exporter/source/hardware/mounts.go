package hardware

import (
	"strconv"
	"strings"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// maxVolumes bounds machines that mount one volume for each container.
const maxVolumes = 256

// volumes reads the mounts that are on disks of this machine, without those
// that container engines make and unmake.
func (l linux) volumes(b *builder) {
	mounts := or(l.text("proc/self/mounts"), l.text("proc/mounts"))
	if mounts == "" {
		return
	}
	b.observed(record.DeviceVolume)
	type mount struct {
		device, kind string
		readOnly     bool
	}
	at := map[string]mount{}
	var order []string
	for line := range strings.SplitSeq(mounts, "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || !localVolume(f[0], f[1], f[2]) {
			continue
		}
		place := unescape(f[1])
		if _, known := at[place]; !known {
			if len(order) >= maxVolumes {
				continue
			}
			order = append(order, place)
		}
		options := "," + f[3] + ","
		at[place] = mount{device: unescape(f[0]), kind: f[2], readOnly: strings.Contains(options, ",ro,")} // the last one mounted is the one seen
	}
	for _, place := range order {
		m := at[place]
		size, err := l.size(l.path(place))
		if err != nil {
			size = 0
		}
		b.add(record.DeviceVolume, place, "", source.Text("filesystem", m.kind), source.Text("device", m.device), source.Count(record.FieldSize, size), source.Yes("read_only", m.readOnly))
	}
}

func localVolume(device, place, kind string) bool {
	if kind == "squashfs" || kind == "iso9660" || kind == "udf" || kind == "overlay" {
		return false
	}
	if !strings.HasPrefix(device, "/dev/") && kind != "zfs" {
		return false
	}
	for _, p := range []string{"/var/lib/docker/", "/var/lib/containers/", "/var/lib/kubelet/", "/var/snap/", "/snap/", "/run/"} {
		if strings.HasPrefix(place, p) {
			return false
		}
	}
	return true
}

// unescape reads the octal escapes of mounts(5): \040 is a space.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
