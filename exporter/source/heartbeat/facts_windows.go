package heartbeat

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"nocturne/exporter/source"
	"nocturne/exporter/source/hardware/smbios"
)

var getTickCount64 = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetTickCount64")

// readFacts asks Windows. The root is for Linux' files and is not used.
func readFacts(string) (Facts, error) {
	v := windows.RtlGetVersion()
	w := windowsVersion{major: v.MajorVersion, minor: v.MinorVersion, build: v.BuildNumber, workstation: v.ProductType == 1}
	var problems []error
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Windows NT\CurrentVersion`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		problems = append(problems, fmt.Errorf("open the CurrentVersion key: %w", err))
	} else {
		if w.product, _, err = k.GetStringValue("ProductName"); err != nil {
			problems = append(problems, fmt.Errorf("read ProductName: %w", err))
		}
		w.revision, _, _ = k.GetIntegerValue("UBR") // absent before Windows 10
		_ = k.Close()
	}
	f := Facts{OSType: osType}
	f.OSName, f.OSVersion, f.OSBuild = w.facts()
	if f.Name, err = os.Hostname(); err != nil {
		problems = append(problems, err)
	}
	// The time since boot counts sleep, as the boot time must.
	ticks, _, _ := getTickCount64.Call()
	f.BootTime = time.Now().Add(-time.Duration(ticks) * time.Millisecond).Truncate(time.Second)
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY); err == nil {
		f.MachineID, _, _ = k.GetStringValue("MachineGuid") // missing on images that were prepared badly
		_ = k.Close()
	}
	if info, err := smbios.ReadFirmware(); info != nil && info.System != nil {
		f.SMBIOSUUID = source.UUID(info.System.UUID)
		f.Virtual = virtual(info.System.Manufacturer, info.System.Product, "")
	} else if err != nil {
		problems = append(problems, err)
	}
	return f, errors.Join(problems...)
}
