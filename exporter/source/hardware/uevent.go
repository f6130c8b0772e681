package hardware

import "strings"

// maxUevent bounds one message of the kernel, which are of 2 KiB at most.
const maxUevent = 8 << 10

// ueventWakes tells whether a message of the kernel ("add@/devices/…", then
// KEY=VALUE, each ended by a zero) says that a part came or went: a disk, a
// network card, a PCI device, memory. What is virtual, as the interfaces and
// loops of containers are, comes and goes all day and is not stated.
func ueventWakes(b []byte) bool {
	head, rest, ok := strings.Cut(string(b[:min(len(b), maxUevent)]), "\x00")
	if !ok || !strings.Contains(head, "@/") {
		return false // udev's own message, or none
	}
	vars := map[string]string{}
	for line := range strings.SplitSeq(rest, "\x00") {
		if key, value, ok := strings.Cut(line, "="); ok {
			vars[key] = value
		}
	}
	switch vars["ACTION"] {
	case "add", "remove", "online", "offline", "move":
	case "change": // another size, or a medium
		return vars["SUBSYSTEM"] == "block" && vars["DEVTYPE"] == "disk" && vars["RESIZE"] == "1"
	default:
		return false
	}
	path := vars["DEVPATH"]
	if strings.HasPrefix(path, "/devices/virtual/") {
		return false
	}
	switch vars["SUBSYSTEM"] {
	case "block":
		return vars["DEVTYPE"] == "disk"
	case "net", "pci", "memory", "nvme":
		return true
	}
	return false
}
