package api

import "time"

// ChartList are the charts that there are.
type ChartList struct {
	Items []ChartInfo `json:"items"`
}

// ChartInfo is one chart of the set.
type ChartInfo struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	About string `json:"about" doc:"what it shows, a sentence"`
	Unit  string `json:"unit" doc:"ratio (0 to 1), bytes, bytes_per_second, seconds, celsius, records, records_per_second, packets_per_second"`
	Of    string `json:"of" doc:"server or pipeline"`
}

// ChartData is what a chart shows.
type ChartData struct {
	Chart       ChartInfo     `json:"chart"`
	Since       *time.Time    `json:"since"`
	Before      *time.Time    `json:"before"`
	StepSeconds int64         `json:"step_seconds"`
	Times       []time.Time   `json:"times" doc:"where the values are"`
	Series      []ChartSeries `json:"series"`
	Left        int           `json:"left_out_series" doc:"series that there were too many of"`
	Queries     []string      `json:"queries" doc:"what the metrics store was asked, PromQL: to look further there"`
}

// ChartSeries is one line.
type ChartSeries struct {
	Name   string     `json:"name"`
	Values []*float64 `json:"values" doc:"one for each of times; null = nothing is known"`
}

// Storage is what the stores take of their disks, and how long these last.
type Storage struct {
	Configured bool        `json:"configured" doc:"false: the ruler knows no metrics store"`
	Error      string      `json:"error" doc:"why nothing is known; empty = all is well"`
	Hint       string      `json:"hint" doc:"what to do about the error"`
	Stores     []StoreSize `json:"stores"`
	Disks      []StoreDisk `json:"disks"`
}

// StoreSize is one store. SQLite's log (ruler-wal) grows until the next
// checkpoint: its size says nothing of tomorrow.
type StoreSize struct {
	Name     string   `json:"name" doc:"stream, register, victoria-metrics, victoria-logs, ruler, ruler-wal"`
	Title    string   `json:"title"`
	Bytes    *int64   `json:"bytes" doc:"null = not known"`
	PerDay   *float64 `json:"bytes_per_day" doc:"by how much it grows, by the trend of at most 7 days; null = there is less than a day of history"`
	Keep     string   `json:"keep" doc:"how long it keeps things; empty = for ever, or not known"`
	MaxBytes *int64   `json:"max_bytes" doc:"where it drops the oldest; null = nowhere"`
	History  float64  `json:"history_seconds" doc:"what the trend is made of"`
}

// StoreDisk is a disk that stores lie on. Parts that see the same size and the
// same free space are taken to be on one.
type StoreDisk struct {
	Parts    []string `json:"parts"`
	Free     int64    `json:"free_bytes"`
	Size     int64    `json:"size_bytes"`
	PerDay   *float64 `json:"bytes_per_day" doc:"how much of the free space goes in a day; negative = it grows; null = there is less than a day of history"`
	DaysLeft *float64 `json:"days_left" doc:"until it is full at this rate; null = not known, or it does not fill up"`
	History  float64  `json:"history_seconds" doc:"what the trend is made of"`
	Text     string   `json:"text" doc:"the same in a sentence"`
}
