package limit

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// cpuRate is JOBOBJECT_CPU_RATE_CONTROL_INFORMATION.
type cpuRate struct{ flags, rate uint32 }

const (
	cpuRateEnable  = 0x1
	cpuRateHardCap = 0x4
	cpuRatePercent = 100 // units of a hundredth of a percent
)

// apply lets other work go first and puts this process and everything that it
// will start into a job: a bound of memory for each process, twice the limit
// that ends this one in good order and ChildMemory at least, and one of processor time for all. What
// must outlive this process (an updater) may leave the job.
func apply(c Config) error {
	var errs []error
	if err := windows.SetPriorityClass(windows.CurrentProcess(), windows.BELOW_NORMAL_PRIORITY_CLASS); err != nil {
		errs = append(errs, fmt.Errorf("lower the priority: %w", err))
	}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("create a job object: %w", err))...)
	}
	// The handle stays open: the job lasts as long as the process.
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{ProcessMemoryLimit: uintptr(max(2*c.MemoryBytes, ChildMemory))}
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_PROCESS_MEMORY | windows.JOB_OBJECT_LIMIT_BREAKAWAY_OK
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))); err != nil {
		errs = append(errs, fmt.Errorf("limit the memory: %w", err))
	}
	rate := cpuRate{flags: cpuRateEnable | cpuRateHardCap, rate: uint32(c.CPUPercent * cpuRatePercent)}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectCpuRateControlInformation, uintptr(unsafe.Pointer(&rate)), uint32(unsafe.Sizeof(rate))); err != nil {
		errs = append(errs, fmt.Errorf("limit the processor time: %w", err))
	}
	if err := windows.AssignProcessToJobObject(job, windows.CurrentProcess()); err != nil {
		errs = append(errs, fmt.Errorf("join the job: %w", err))
	}
	return errors.Join(errs...)
}
