package source

import (
	"slices"
	"strings"

	"nocturne/internal/record"
)

// storageEvents are the events of Windows after which a RAID controller or a
// disk is worth another look, by provider (lower case). nil = any of them.
var storageEvents = map[string][]int64{
	"disk":                                   {7, 11, 15, 51, 52, 153, 154, 157, 158}, // bad block, controller error, I/O retried or failed, removed
	"storahci":                               {11, 129},                               // reset
	"stornvme":                               {11, 129},
	"storport":                               {129},
	"mr_monitor":                             nil, // what MegaRAID's own service tells
	"lsa":                                    nil, // its successor
	"ntfs":                                   {55, 98, 137, 140},
	"microsoft-windows-ntfs":                 {55, 98, 137, 140},
	"volmgr":                                 {45, 46, 49, 161},
	"partmgr":                                {58, 59},
	"microsoft-windows-disk":                 nil,
	"microsoft-windows-storagespaces-driver": nil,
}

// storageDrivers are the beginnings of the names of RAID and SAS drivers.
var storageDrivers = []string{"megasas", "megasr", "percsas", "lsi_", "lsi", "mpi3drv", "mpt", "iastor", "smartpqi", "hpcisss", "arcsas", "mvs", "nvme"}

// storageWords are in what Linux' kernel says when a disk, an array or a
// controller is not well, or comes and goes.
var storageWords = []string{
	"megaraid_sas", "mpt2sas", "mpt3sas", "mpi3mr", "smartpqi", "hpsa", "aacraid", "md/raid", "nvme nvme", "i/o error", "medium error", "unrecovered read error",
	"disk failure", "failed command", "hard resetting link", "link is down", "link is slow", "device offlined", "rejecting i/o", "attached scsi disk", "synchronizing scsi cache", "detached",
}

// StorageEvent tells whether a record of an event log or journal is a reason
// to look at disks and RAID controllers now. It errs on the side of looking:
// early rounds are few (see EarlyGap).
func StorageEvent(r *record.Record) bool {
	switch r.Name {
	case record.NameWindowsEvent:
		provider := strings.ToLower(r.Attr(record.AttrProvider).Str())
		if ids, ok := storageEvents[provider]; ok {
			id, _ := r.Attr(record.AttrEventID).Int()
			return ids == nil || slices.Contains(ids, id)
		}
		return slices.ContainsFunc(storageDrivers, func(p string) bool { return strings.HasPrefix(provider, p) })
	case record.NameJournal:
		if r.Attr(record.AttrProvider).Str() != "kernel" {
			return false
		}
		text := strings.ToLower(r.Body[:min(len(r.Body), 1024)])
		return slices.ContainsFunc(storageWords, func(w string) bool { return strings.Contains(text, w) })
	}
	return false
}
