package heartbeat

import (
	"fmt"
	"strings"
)

// windowsVersion is what the registry key
// HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion and RtlGetVersion say.
type windowsVersion struct {
	product             string // ProductName
	major, minor, build uint32
	revision            uint64 // UBR, the monthly update's number
	workstation         bool   // product type 1
}

// facts names the system as its users do: ProductName still says "Windows 10"
// on Windows 11, which begins with build 22000.
func (v windowsVersion) facts() (name, version, build string) {
	name = strings.TrimSpace(v.product)
	if v.workstation && v.build >= 22000 {
		name = strings.Replace(name, "Windows 10", "Windows 11", 1)
	}
	version = fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.build)
	build = fmt.Sprintf("%d.%d", v.build, v.revision)
	if v.revision == 0 {
		build = fmt.Sprint(v.build)
	}
	return name, version, build
}
