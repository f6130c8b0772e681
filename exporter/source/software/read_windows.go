package software

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"nocturne/exporter/source"
)

const uninstallKey = `SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`

// classKey holds a key for each class of devices, with a key for each device
// that has a driver: of the devices that are there and of those that were.
const classKey = `SYSTEM\CurrentControlSet\Control\Class`

// maxKeys bounds what one key of the registry may hold.
const maxKeys = 16384

func (r *Reader) read(ctx context.Context) (inventory, error) {
	var in inventory
	var errs []error
	for _, view := range []uint32{registry.WOW64_64KEY, registry.WOW64_32KEY} {
		list, err := readUninstall(ctx, view)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		in.programs = append(in.programs, list...)
	}
	in.programsKnown = len(errs) == 0
	var err error
	in.drivers, err = r.readDrivers(ctx)
	in.driversKnown = err == nil
	return in, errors.Join(append(errs, err)...)
}

func readUninstall(ctx context.Context, view uint32) ([]Program, error) {
	list := []Program{}
	err := source.RegistryEach(uninstallKey, view, maxKeys, func(_ string, k registry.Key) bool {
		system, _, _ := k.GetIntegerValue("SystemComponent") // not there = 0
		u := uninstall{
			name: value(k, "DisplayName"), version: value(k, "DisplayVersion"), publisher: value(k, "Publisher"), date: value(k, "InstallDate"),
			parent: value(k, "ParentKeyName"), release: value(k, "ReleaseType"), system: system == 1, bits32: view == registry.WOW64_32KEY,
		}
		if p, ok := u.program(); ok {
			list = append(list, p)
		}
		return ctx.Err() == nil
	})
	if err != nil && !errors.Is(err, registry.ErrNotExist) { // a Server Core may have no 32-bit program at all
		return nil, fmt.Errorf("list the programs: %w", err)
	}
	return list, nil
}

func value(k registry.Key, name string) string {
	s, _, err := k.GetStringValue(name)
	if err != nil {
		return ""
	}
	return s
}

// readDrivers lists the drivers of the devices in the registry's tree. Devices
// that were taken out stay there with their drivers, as they do in Windows'
// own list of hidden devices.
func (r *Reader) readDrivers(ctx context.Context) ([]Driver, error) {
	var list []Driver
	err := source.RegistryEach(classKey, registry.WOW64_64KEY, maxKeys, func(class string, _ registry.Key) bool {
		err := source.RegistryEach(classKey+`\`+class, registry.WOW64_64KEY, maxKeys, func(_ string, k registry.Key) bool {
			d := Driver{Name: value(k, "DriverDesc"), Version: value(k, "DriverVersion"), Provider: value(k, "ProviderName"), File: value(k, "InfPath")}
			if d.Name == "" || d.Version == "" || len(list) >= maxKeys {
				return ctx.Err() == nil
			}
			data, _, _ := k.GetBinaryValue("DriverDateData") // not there = nil
			d.Date = driverDate(data, value(k, "DriverDate"))
			d.Signer = r.signer(d, signerOf)
			list = append(list, d)
			return ctx.Err() == nil
		})
		return err == nil || ctx.Err() == nil // a class that is closed to us hides no other
	})
	if err != nil {
		return nil, fmt.Errorf("list the drivers: %w", err)
	}
	return list, nil
}

var verifyInf = windows.NewLazySystemDLL("setupapi.dll").NewProc("SetupVerifyInfFileW")

// signerOf asks who signed a driver's description, which Windows answers from
// the catalogue; "" when nobody did. Wine would end the process: it has no such
// function.
func signerOf(inf string) string {
	if source.UnderWine() || verifyInf.Find() != nil {
		return ""
	}
	name, err := windows.UTF16PtrFromString(inf)
	if err != nil {
		return ""
	}
	var info [signerInfoSize]byte
	binary.LittleEndian.PutUint32(info[:], signerInfoSize)
	ok, _, _ := verifyInf.Call(uintptr(unsafe.Pointer(name)), 0, uintptr(unsafe.Pointer(&info[0])))
	if ok == 0 {
		return ""
	}
	return parseSigner(info[:])
}
