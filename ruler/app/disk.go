package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/disk"
)

// diskMetrics say how full the disk of the data folder is, what the store takes
// of it, and for how long it keeps it.
func (a *App) diskMetrics(reg prometheus.Registerer) {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	space := func(of func(disk.Space) uint64) func() float64 {
		return func() float64 {
			s, err := disk.Of(a.cfg.Data)
			if err != nil {
				return -1
			}
			return float64(of(s))
		}
	}
	gauge("ruler_data_free_bytes", "Free space on the disk of the data folder; -1 = not known.", nil, space(func(s disk.Space) uint64 { return s.Free }))
	gauge("ruler_data_size_bytes", "Size of the disk of the data folder; -1 = not known.", nil, space(func(s disk.Space) uint64 { return s.Total }))
	const name, help = "ruler_store_file_bytes", "Bytes of the store's files: db is the database, wal its log, which grows until the next checkpoint."
	gauge(name, help, prometheus.Labels{"file": "db"}, func() float64 { db, _ := a.store.FileBytes(); return float64(db) })
	gauge(name, help, prometheus.Labels{"file": "wal"}, func() float64 { _, wal := a.store.FileBytes(); return float64(wal) })
	gauge("ruler_store_retention_seconds", "How long the store keeps facts where nothing else is set for their kind.", nil, func() float64 { return a.cfg.Store.Retention.Seconds() })
}
