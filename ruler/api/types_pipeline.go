package api

import "time"

// Pipeline is how well records flow.
type Pipeline struct {
	OK         bool        `json:"ok"`
	Text       string      `json:"text" doc:"the whole in a sentence"`
	Problems   []string    `json:"problems" doc:"what is not as it should be"`
	Stages     []Stage     `json:"stages" doc:"of the bridge and its sinks, in the order records pass them"`
	Partitions []Partition `json:"partitions" doc:"how far the ruler is, per partition of the stream"`
	LagEntries *int64      `json:"lag_entries" doc:"entries of the stream that the ruler has not committed; null = not known"`
	ClocksRun  bool        `json:"clocks_run" doc:"false: clocks stand still or lag, so a server that stops speaking is not noticed now"`
	LagSeconds *float64    `json:"lag_seconds" doc:"now minus the oldest stream time the ruler has committed; null = not known"`
	Ledger     Ledger      `json:"ledger"`
	Losses     Losses      `json:"losses"`
	Sinks      []Sink      `json:"sinks"`
	Bridge     Bridge      `json:"bridge"`
	StoreBytes int64       `json:"store_bytes" doc:"of the ruler's own, its log included"`
	Storage    Storage     `json:"storage"`
}

// Stage counts records: in = out + dropped + waiting.
type Stage struct {
	Name    string `json:"name"`
	In      int64  `json:"in_records"`
	Out     int64  `json:"out_records"`
	Dropped int64  `json:"dropped_records"`
	Waiting int64  `json:"waiting_records"`
	Reasons []Drop `json:"dropped_by_reason" doc:"those that happened"`
}

// Drop counts what was dropped for one reason.
type Drop struct {
	Reason  string `json:"reason"`
	Records int64  `json:"records"`
}

// Partition is the ruler's position in one partition.
type Partition struct {
	Partition   int        `json:"partition"`
	Owner       string     `json:"owner"`
	Incarnation string     `json:"incarnation"`
	Entry       uint64     `json:"entry" doc:"the last entry committed"`
	Head        *uint64    `json:"head" doc:"the last entry in the stream; null = not known"`
	StreamTime  *time.Time `json:"stream_time"`
	Clock       *time.Time `json:"clock" doc:"the operators' clock; it stands still without good ticks"`
	CommittedAt *time.Time `json:"committed_at"`
	Frozen      string     `json:"frozen" doc:"why the clock stands still; empty = it runs"`
	Ledger      Ledger     `json:"ledger"`
}

// Ledger sums up sequences, in records.
type Ledger struct {
	Received  int64 `json:"received_records"`
	Duplicate int64 `json:"duplicate_records" doc:"arrived again, counted once"`
	Late      int64 `json:"late_records" doc:"filled a hole after it was seen"`
	Declared  int64 `json:"declared_lost_records" doc:"the producer said that it dropped them, and why"`
	Missing   int64 `json:"missing_records" doc:"holes that nobody explained"`
	Rejected  int64 `json:"rejected_frames"`
	Sequences int64 `json:"sequences"`
}

// Losses counts what the stream itself lost before the ruler read it.
type Losses struct {
	VolumeLost   int64 `json:"volume_lost" doc:"times the stream was another one, or shorter than what was read"`
	LogTruncated int64 `json:"log_truncated_entries" doc:"deleted before they were read"`
}

// Sink is one of the bridge's outputs.
type Sink struct {
	Name       string `json:"name"`
	OK         bool   `json:"ok"`
	LagEntries int64  `json:"lag_entries"`
	Error      string `json:"error"`
}

// Bridge says whether the eventbridge answered.
type Bridge struct {
	Configured bool   `json:"configured"`
	Reachable  bool   `json:"reachable"`
	ProbeOK    bool   `json:"probe_ok" doc:"true: it reached its own public listener"`
	Error      string `json:"error"`
}
