package hardware

import (
	"context"
	"fmt"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

const maxPCI = 4096

// pci asks for the devices of the PCI bus that are there now.
func pci(ctx context.Context, b *builder) error {
	set, err := windows.SetupDiGetClassDevsEx(nil, "PCI", 0, windows.DIGCF_ALLCLASSES|windows.DIGCF_PRESENT, 0, "")
	if err != nil {
		return fmt.Errorf("ask for the PCI devices: %w", err)
	}
	defer func() { _ = set.Close() }() // only read
	for i := 0; i < maxPCI && ctx.Err() == nil; i++ {
		data, err := set.EnumDeviceInfo(i)
		if err != nil {
			break // ERROR_NO_MORE_ITEMS
		}
		value := func(p windows.SPDRP) any {
			v, err := set.DeviceRegistryProperty(data, p)
			if err != nil {
				return nil
			}
			return v
		}
		exact, _ := value(windows.SPDRP_HARDWAREID).([]string)
		wide, _ := value(windows.SPDRP_COMPATIBLEIDS).([]string)
		d := identify(append(exact, wide...))
		bus, okBus := value(windows.SPDRP_BUSNUMBER).(uint32)
		address, okAddress := value(windows.SPDRP_ADDRESS).(uint32)
		if !okBus || !okAddress {
			continue
		}
		d.address = pciAddress(bus, address)
		d.driver, _ = value(windows.SPDRP_SERVICE).(string)
		if d.name, _ = value(windows.SPDRP_FRIENDLYNAME).(string); d.name == "" {
			d.name, _ = value(windows.SPDRP_DEVICEDESC).(string)
		}
		b.pci(d)
	}
	b.observed(record.DevicePCI)
	return nil
}

// registryCPU states the processor where the firmware's table does not: one,
// for the registry does not say in how many sockets.
func registryCPU(b *builder) {
	const key = `HARDWARE\DESCRIPTION\System\CentralProcessor`
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return
	}
	defer func() { _ = k.Close() }() // only read
	threads, err := k.ReadSubKeyNames(maxPCI)
	if err != nil && len(threads) == 0 {
		return
	}
	text := func(name string) string { return source.RegistryText(registry.LOCAL_MACHINE, key+`\0`, name) }
	b.observed(record.DeviceCPU)
	b.add(record.DeviceCPU, "0", "", said(record.FieldVendor, text("VendorIdentifier")), said(record.FieldModel, text("ProcessorNameString")), source.Count("threads", int64(len(threads))))
}
