package simulate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// Drive is one physical drive of the RAID model.
type Drive struct {
	Serial    string `json:"serial"`
	State     string `json:"state"` // storcli's word: Onln, Failed, Rbld
	Predicted int    `json:"predicted,omitempty"`
	Media     int    `json:"media,omitempty"`
	Other     int    `json:"other,omitempty"`
	Progress  int    `json:"progress,omitempty"`
}

const enclosure = 252

func newDrive(r *rand.Rand) Drive { return Drive{Serial: "SIM" + letters(r, 9), State: "Onln"} }

// virtualState is what storcli says of a virtual drive with these members.
func virtualState(level string, drives []Drive) string {
	bad := 0
	for _, d := range drives {
		if d.State != "Onln" {
			bad++
		}
	}
	redundant := 1
	if level == "RAID6" {
		redundant = 2
	}
	switch {
	case bad == 0:
		return "Optl"
	case bad > redundant:
		return "OfLn"
	case bad < redundant:
		return "Pdgd"
	default:
		return "Dgrd"
	}
}

// virtualSize is what the members hold without their redundancy.
func virtualSize(s *Spec) string {
	var size float64
	var unit string
	if _, err := fmt.Sscan(s.DriveSize, &size, &unit); err != nil {
		return s.DriveSize
	}
	switch s.Level {
	case "RAID5":
		size *= float64(s.Drives - 1)
	case "RAID6":
		size *= float64(s.Drives - 2)
	}
	return fmt.Sprintf("%.3f %s", size, unit)
}

type object = map[string]any

// storcli renders what `storcli64 /call show all J` and `/call/eall/sall show
// all J` would print for this server. The replies are constructed from
// documentation (the StorCLI Reference Manual) and from the shape of real
// replies of healthy controllers; degraded and rebuilding states were not
// captured from a machine.
func storcli(s *Spec, drives []Drive, at time.Time) [][]byte {
	pds := make([]object, len(drives))
	details := object{}
	for i := range drives {
		row := driveRow(s, i, &drives[i])
		path := fmt.Sprintf("Drive /c0/e%d/s%d", enclosure, i)
		pds[i] = row
		details[path] = []object{row}
		details[path+" - Detailed Information"] = driveDetail(s, path, &drives[i], temperature(s, i, at))
	}
	state := virtualState(s.Level, drives)
	status := "Optimal"
	if state != "Optl" {
		status = "Needs Attention"
	}
	now := at.UTC().Format("01/02/2006, 15:04:05")
	all := object{
		"Basics": object{
			"Controller": 0, "Model": s.Controller, "Serial Number": s.Serial + "C0", "Current Controller Date/Time": now, "Current System Date/time": now, "PCI Address": "00:3b:00:00",
		},
		"Version": object{"Firmware Package Build": s.Firmware, "Bios Version": "7.16.00.0", "Driver Name": "megasas35.sys", "Driver Version": "7.720.04.00"},
		"Status":  object{"Controller Status": status, "Memory Correctable Errors": 0, "Memory Uncorrectable Errors": 0, "Any Offline VD Cache Preserved": "No"},
		"HwCfg":   object{"BBU": "Present", "Temperature Sensor for ROC": "Present", "ROC temperature(Degree Celsius)": temperature(s, -1, at)},

		"Virtual Drives": 1,
		"VD LIST": []object{{
			"DG/VD": "0/0", "TYPE": s.Level, "State": state, "Access": "RW", "Consist": "Yes", "Cache": "RWBD", "Cac": "-", "sCC": "ON", "Size": virtualSize(s), "Name": "SYSTEM",
		}},
		"Physical Drives": len(pds), "PD LIST": pds,
		"Enclosures": 1,
		"Enclosure LIST": []object{{
			"EID": enclosure, "State": "OK", "Slots": 8, "PD": len(pds), "PS": 0, "Fans": 0, "TSs": 0, "Alms": 0, "SIM": 1, "Port#": "-", "ProdID": "SGPIO", "VendorSpecific": " ",
		}},
		"Cachevault_Info": []object{{"Model": "CVPM05", "State": "Optimal", "Temp": fmt.Sprintf("%dC", temperature(s, -2, at)), "Mode": "-", "MfgDate": "2021/03/04"}},
	}
	return [][]byte{reply(all, "None"), reply(details, "Show Drive Information Succeeded.")}
}

func reply(data object, description string) []byte {
	b, err := json.Marshal(object{"Controllers": []object{{
		"Command Status": object{
			"CLI Version": "007.2707.0000.0000 Dec 18, 2023", "Operating system": "Windows Server", "Controller": 0, "Status": "Success", "Description": description,
		},
		"Response Data": data,
	}}})
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return b
}

func driveRow(s *Spec, slot int, d *Drive) object {
	return object{
		"EID:Slt": fmt.Sprintf("%d:%d", enclosure, slot), "DID": slot + 8, "State": d.State, "DG": 0, "Size": s.DriveSize, "Intf": s.Interface, "Med": s.DriveKind,
		"SED": "N", "PI": "N", "SeSz": "512B", "Model": fmt.Sprintf("%-16s", s.DriveModel), "Sp": "U", "Type": "-",
	}
}

func driveDetail(s *Spec, path string, d *Drive, celsius int) object {
	alert := "No"
	if d.Predicted > 0 {
		alert = "Yes"
	}
	return object{
		path + " State": object{
			"Shield Counter": 0, "Media Error Count": d.Media, "Other Error Count": d.Other, "BBM Error Count": 0,
			"Drive Temperature": fmt.Sprintf(" %dC (%.2f F)", celsius, float64(celsius)*1.8+32), "Predictive Failure Count": d.Predicted, "S.M.A.R.T alert flagged by drive": alert,
		},
		path + " Device attributes": object{
			"SN": d.Serial + " ", "Manufacturer Id": "ATA     ", "Model Number": s.DriveModel, "Firmware Revision": s.DriveFirmware, "Raw size": s.DriveSize, "Coerced size": s.DriveSize,
			"Device Speed": "12.0Gb/s", "Link Speed": "12.0Gb/s", "Logical Sector Size": "512B",
		},
	}
}

// temperature of a slot (or, below zero, a chip) moves slowly around a value of
// its own.
func temperature(s *Spec, slot int, at time.Time) int {
	base := 29 + (s.Index*7+slot*3)%9
	if slot < 0 {
		base = 58 + s.Index%7 + slot*12
	}
	return base + int(2*wave(at, 6*time.Hour, float64(s.Index+slot)))
}
