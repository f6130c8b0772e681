package mdraid

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Array is one array as the kernel and mdadm have it. Numbers are 0 and texts
// empty where they are not told.
type Array struct {
	Name     string // md0
	Active   bool
	Mode     string // read-only, auto-read-only; "" = read and write
	Level    string // raid1; not told of some inactive arrays
	Bytes    int64
	Metadata string // 1.2, external:imsm, external:/md127/0
	Bitmap   bool
	// Wanted is how many members the array has when it is whole, Working how
	// many are in use; 0 and 0 for levels without redundancy.
	Wanted, Working int
	// Map has a U for every member in use and a _ for every one that is not.
	Map       string
	Members   []Member
	Operation string  // recovery, resync, reshape, check, repair; "" = none
	Waiting   string  // delayed, pending: the operation has not begun
	Percent   float64 // of the operation
	// SecondsLeft and SpeedBytes (per second) are the kernel's own estimate.
	SecondsLeft, SpeedBytes int64
	// What mdadm adds.
	UUID, Label, DetailState string
}

// Member is one device of an array.
type Member struct {
	Device string // sda1
	Slot   int    // its number in the array, which a spare has too; -1 = none
	// Faulty, Spare, WriteMostly, Journal and Replacement are the kernel's
	// marks (F), (S), (W), (J) and (R).
	Faulty, Spare, WriteMostly, Journal, Replacement bool
	Detail                                           string // mdadm's words: "active sync"
}

// maxArrays and maxMembers bound what is read: a machine has 2^20 md minors,
// but no more than a few arrays.
const (
	maxArrays   = 512
	maxMembers  = 4096
	maxProblems = 16
)

var (
	arrayLine   = regexp.MustCompile(`^([A-Za-z0-9_.-]{1,64}) : (active|inactive|broken|clean|readonly)\b(?: \(([a-z-]{1,32})\))?(.*)$`)
	memberForm  = regexp.MustCompile(`^([A-Za-z0-9!/_.-]{1,64})\[(-?\d{1,6})\]((?:\([A-Z]\))*)$`)
	blocksLine  = regexp.MustCompile(`^(\d{1,18}) blocks\b(.*)$`)
	countForm   = regexp.MustCompile(`\[(\d{1,6})/(\d{1,6})\](?: \[([U_]+)\])?`)
	superForm   = regexp.MustCompile(`\bsuper (\S{1,64})`)
	progressRow = regexp.MustCompile(`\b(recovery|resync|reshape|check|repair|data-check) *= *(\d{1,3}(?:\.\d+)?)%`)
	waitingRow  = regexp.MustCompile(`\b(recovery|resync|reshape|check|repair) *= *(DELAYED|PENDING|REMOTE)`)
	finishForm  = regexp.MustCompile(`\bfinish=(\d{1,12}(?:\.\d+)?)min`)
	speedForm   = regexp.MustCompile(`\bspeed=(\d{1,12})K/sec`)
)

// ParseStat reads /proc/mdstat (kernel, drivers/md/md.c: md_seq_show). It
// returns what could be read beside a text for each line that could not.
func ParseStat(text []byte) ([]Array, []string) {
	var arrays []Array
	var problems []string
	for raw := range bytes.Lines(text) {
		line := strings.TrimRight(string(raw), "\r\n ")
		switch {
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "Personalities"), strings.HasPrefix(line, "unused devices"), strings.HasPrefix(line, "read_ahead"):
			continue
		case line[0] == ' ' || line[0] == '\t':
			if len(arrays) > 0 {
				arrays[len(arrays)-1].more(strings.TrimSpace(line))
			}
			continue
		}
		a, err := parseArray(line)
		switch {
		case err != nil && len(problems) < maxProblems:
			problems = append(problems, err.Error())
		case err == nil && len(arrays) < maxArrays:
			arrays = append(arrays, a)
		}
	}
	return arrays, problems
}

func parseArray(line string) (Array, error) {
	m := arrayLine.FindStringSubmatch(line)
	if m == nil {
		return Array{}, fmt.Errorf("a line of /proc/mdstat that is no array: %.80q", line)
	}
	a := Array{Name: m[1], Active: m[2] != "inactive" && m[2] != "broken", Mode: m[3]}
	for _, word := range strings.Fields(m[4]) {
		if p := memberForm.FindStringSubmatch(word); p != nil {
			if len(a.Members) < maxMembers {
				slot, _ := strconv.Atoi(p[2]) // six digits
				a.Members = append(a.Members, Member{Device: p[1], Slot: slot, Faulty: strings.Contains(p[3], "F"), Spare: strings.Contains(p[3], "S"),
					WriteMostly: strings.Contains(p[3], "W"), Journal: strings.Contains(p[3], "J"), Replacement: strings.Contains(p[3], "R")})
			}
			continue
		}
		if len(a.Members) == 0 && len(word) <= 32 {
			a.Level = word
		}
	}
	return a, nil
}

// more reads an indented line below an array's.
func (a *Array) more(line string) {
	if m := blocksLine.FindStringSubmatch(line); m != nil {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil && n < 1<<53 {
			a.Bytes = n * 1024
		}
		if s := superForm.FindStringSubmatch(m[2]); s != nil {
			a.Metadata = s[1]
		}
		if c := countForm.FindStringSubmatch(m[2]); c != nil {
			a.Wanted, _ = strconv.Atoi(c[1])
			a.Working, _ = strconv.Atoi(c[2])
			a.Map = c[3]
		}
	}
	if m := progressRow.FindStringSubmatch(line); m != nil {
		a.Operation = strings.TrimPrefix(m[1], "data-")
		a.Percent, _ = strconv.ParseFloat(m[2], 64)
		if f := finishForm.FindStringSubmatch(line); f != nil {
			minutes, _ := strconv.ParseFloat(f[1], 64)
			a.SecondsLeft = int64(minutes * 60)
		}
		if s := speedForm.FindStringSubmatch(line); s != nil {
			n, _ := strconv.ParseInt(s[1], 10, 64)
			a.SpeedBytes = n * 1024
		}
	}
	if m := waitingRow.FindStringSubmatch(line); m != nil {
		a.Operation, a.Waiting = m[1], strings.ToLower(m[2])
	}
	if strings.HasPrefix(line, "bitmap:") {
		a.Bitmap = true
	}
}

// Detail is what `mdadm --detail` says of one array.
type Detail struct {
	Level, State, UUID, Name, Metadata string
	Wanted                             int
	Members                            []Member
}

var detailMember = regexp.MustCompile(`^\s*(\d+|-)\s+(\d+)\s+(\d+)\s+(\d+|-)\s*(.*?)\s+(/dev/\S+)\s*$`)

// errNoDetail says that a text is no reply of mdadm --detail.
var errNoDetail = errors.New("mdadm --detail did not say what was asked")

// ParseDetail reads the reply of `mdadm --detail DEVICE` (mdadm, Detail.c).
// Keys that are not known, and whatever hostile names put between them, are
// passed over.
func ParseDetail(text []byte) (Detail, error) {
	var d Detail
	known := 0
	for raw := range bytes.Lines(text[:min(len(text), MaxStat)]) {
		line := strings.TrimRight(string(raw), "\r\n")
		if m := detailMember.FindStringSubmatch(line); m != nil {
			if len(d.Members) < maxMembers {
				slot, err := strconv.Atoi(m[4])
				if err != nil {
					slot = -1
				}
				d.Members = append(d.Members, Member{Device: strings.TrimPrefix(m[6], "/dev/"), Slot: slot, Detail: m[5]})
			}
			continue
		}
		key, value, ok := strings.Cut(line, " : ")
		if !ok {
			continue
		}
		known++
		switch value = cut(strings.TrimSpace(value)); strings.TrimSpace(key) {
		case "Raid Level":
			d.Level = value
		case "State":
			d.State = value
		case "UUID":
			d.UUID = value
		case "Version":
			d.Metadata = value
		case "Raid Devices":
			d.Wanted, _ = strconv.Atoi(value)
		case "Name":
			d.Name, _, _ = strings.Cut(value, " ")
		default:
			known--
		}
	}
	if known == 0 {
		return d, errNoDetail
	}
	return d, nil
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), 256)], "") }
