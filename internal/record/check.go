package record

import "slices"

// Names of the records of checks (category check), beside their snapshots.
const (
	NameCheckResult = "nocturne.check.result" // a check is in another state than before
	NameCheckEvent  = "nocturne.check.event"  // a record that a check's plugin states
)

// Attributes of a check's records (category check).
const (
	AttrCheckName     = "check.name"
	AttrCheckState    = "check.state"  // ok warning critical unknown; the device says "unclear" for unknown
	AttrCheckReason   = "check.reason" // why it is unknown, or "" where the plugin said so
	AttrCheckText     = "check.text"   // the first line
	AttrCheckDetails  = "check.details"
	AttrCheckDuration = "check.duration_seconds"
	AttrCheckValues   = "check.values"   // list of maps: name value unit warning critical min max
	AttrCheckProblems = "check.problems" // list: what of the output could not be read
	AttrCheckBefore   = "check.before"   // of NameCheckResult: the state before
	AttrCheckEvent    = "check.event"    // of NameCheckEvent: what the plugin calls it
	AttrCheckData     = "check.data."    // prefix of the event's own fields
)

// DeviceCheck is the device type of checks; the place is the check's name.
const DeviceCheck = "check"

// FieldText is what a check said when it came into its state.
const FieldText = "text"

// BuiltinDevice tells whether a device type is one that the exporter's own
// sources state, and that therefore no plugin may.
func BuiltinDevice(typ string) bool { return slices.Contains(deviceTypes, typ) }

// deviceTypes are all Device constants; a test in exporter/app holds them
// together.
var deviceTypes = []string{
	DeviceController, DeviceEnclosure, DevicePhysicalDrive, DeviceVirtualDrive, DeviceBattery,
	DeviceSystem, DeviceBIOS, DeviceBoard, DeviceCPU, DeviceMemory, DeviceDisk, DeviceNIC, DeviceVolume, DeviceOS,
	DeviceMDArray, DeviceMDMember,
	DeviceSensor,
	DeviceSMARTDrive,
	DeviceCheck,
	DeviceUpdateStatus, DeviceUpdatePending, DeviceUpdateInstalled,
	DeviceProgram, DeviceDriver,
	DevicePCI, DeviceSlot, DevicePowerSupply, DeviceTPM,
}
