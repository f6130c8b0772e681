package supervise

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const stateListen = "0A"

// portHolder finds the process that listens on a TCP port, as far as we may look: "312", "nginx (process 312)". The number
// is "" when it cannot be told, for example because the process is another user's.
func portHolder(port string) (pid, who string) {
	inodes := listenInodes(port)
	if len(inodes) == 0 {
		return "", ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid = strings.Split(link, "/")[2]
		command, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil || len(command) == 0 {
			return pid, "process " + pid
		}
		program, _, _ := bytes.Cut(command, []byte{0})
		return pid, fmt.Sprintf("%s (process %s)", filepath.Base(string(program)), pid)
	}
	return "", "a process of another user"
}

// parentOf returns the number of a process's parent, "" when it is gone.
func parentOf(pid string) string {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if parent, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strings.TrimSpace(parent)
		}
	}
	return ""
}

// lockedBy returns the data folder whose lock a process holds: it has the file open, and wrote its number into it.
func lockedBy(pid string) string {
	links, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || filepath.Base(target) != lockName {
			continue
		}
		text, err := os.ReadFile(target)
		if dir := filepath.Dir(target); err == nil && strings.TrimSpace(string(text)) == pid && Locked(dir) {
			return dir
		}
	}
	return ""
}

// listenInodes returns the socket links, like "socket:[4711]", of listeners on port.
func listenInodes(port string) map[string]bool {
	found := make(map[string]bool)
	n, err := strconv.Atoi(port)
	if err != nil {
		return found
	}
	suffix := fmt.Sprintf(":%04X", n)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == stateListen {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}
