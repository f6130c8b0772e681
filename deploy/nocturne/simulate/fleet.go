package simulate

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Spec is what one simulated server is made of. It follows from the seed and
// the server's number alone.
type Spec struct {
	Index                int
	Name                 string
	Site, Rack, Role     string
	Owner                string
	OSName, OSVersion    string
	Build                int // of the operating system, without the revision
	Vendor, Model        string
	Serial               string
	MachineID, UUID      string
	BIOS                 string
	CPU                  string
	CPUs, Cores          int
	DIMMs                int
	DIMMSize             int64
	Controller, Firmware string
	Level                string // of the virtual drive
	Drives               int
	DriveModel           string
	DriveFirmware        string
	DriveSize            string // as storcli prints it
	DriveKind            string // HDD, SSD
	Interface            string // SAS, SATA
}

var (
	sites = []string{"berlin", "krakow", "lisbon"}
	roles = []struct{ role, short, owner string }{
		{"domain-controller", "dc", "identity"}, {"file-server", "fs", "storage"}, {"sql-server", "sql", "databases"},
		{"hyper-v", "hv", "platform"}, {"exchange", "mail", "collaboration"}, {"terminal-server", "rds", "workplace"},
	}
	systems = []struct {
		name, version string
		build         int
	}{
		{"Microsoft Windows Server 2022 Standard", "10.0.20348", 20348}, {"Microsoft Windows Server 2019 Standard", "10.0.17763", 17763},
		{"Microsoft Windows Server 2016 Standard", "10.0.14393", 14393}, {"Microsoft Windows Server 2025 Datacenter", "10.0.26100", 26100},
	}
	boards = []struct{ vendor, model, bios, controller, firmware string }{
		{"Dell Inc.", "PowerEdge R740", "2.21.2", "PERC H740P Mini", "51.16.0-5150"},
		{"HPE", "ProLiant DL380 Gen10", "U30 v2.90", "MegaRAID 9460-16i", "51.22.0-4545"},
		{"Supermicro", "SYS-6029P-TRT", "3.9a", "MegaRAID 9361-8i", "24.22.0-0076"},
		{"FUJITSU", "PRIMERGY RX2540 M5", "V5.0.0.14 R1.42.0", "PRAID EP540i", "51.23.0-4717"},
	}
	processors = []struct {
		name  string
		cores int
	}{
		{"Intel(R) Xeon(R) Silver 4214 CPU @ 2.20GHz", 12}, {"Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", 20}, {"Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz", 12},
	}
	disks = []struct{ model, firmware, size, kind, intf string }{
		{"ST1200MM0099", "ST31", "1.090 TB", "HDD", "SAS"}, {"HUS726T4TALE6L4", "VKGN", "3.637 TB", "HDD", "SATA"},
		{"MZ7KH960HAJR0D3", "HF56", "893.750 GB", "SSD", "SATA"}, {"PX05SMB160Y", "AS0E", "1.454 TB", "SSD", "SAS"},
	}
)

// perRack is how many simulated servers stand in one rack.
const perRack = 5

// rng returns the random numbers of one purpose of one server.
func rng(seed uint64, index int, purpose string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(purpose) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed^h, uint64(index)*0x9e3779b97f4a7c15+1))
}

// Fleet returns the first n servers of a seed. More servers leave the first
// ones as they are.
func Fleet(seed uint64, n int) []Spec {
	out := make([]Spec, n)
	for i := range out {
		out[i] = spec(seed, i)
	}
	return out
}

func spec(seed uint64, i int) Spec {
	r := rng(seed, i, "spec")
	role, system, board := roles[i%len(roles)], systems[r.IntN(len(systems))], boards[r.IntN(len(boards))]
	cpu, disk := processors[r.IntN(len(processors))], disks[r.IntN(len(disks))]
	rack := i / perRack
	site := sites[rack%len(sites)]
	s := Spec{
		Index: i, Name: fmt.Sprintf("sim-%s-%s%02d", site[:3], role.short, i+1), Site: site, Rack: fmt.Sprintf("%s-r%02d", site[:3], rack+1), Role: role.role, Owner: role.owner,
		OSName: system.name, OSVersion: system.version, Build: system.build,
		Vendor: board.vendor, Model: board.model, BIOS: board.bios, Serial: "SIM" + letters(r, 7),
		MachineID: uuid(r), UUID: uuid(r), CPU: cpu.name, CPUs: 2, Cores: cpu.cores, DIMMs: 4 + 4*r.IntN(3), DIMMSize: 16 << 30 << r.IntN(2),
		Controller: board.controller, Firmware: board.firmware,
		DriveModel: disk.model, DriveFirmware: disk.firmware, DriveSize: disk.size, DriveKind: disk.kind, Interface: disk.intf,
	}
	s.Drives, s.Level = 4+2*r.IntN(3), "RAID5"
	switch r.IntN(3) {
	case 0:
		s.Drives, s.Level = 2, "RAID1"
	case 1:
		s.Level = "RAID6"
	}
	return s
}

const alphabet = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"

func letters(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// uuid returns a version 4 UUID.
func uuid(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}
