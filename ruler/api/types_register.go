package api

import "time"

// Label is a label of a server and where it comes from.
type Label struct {
	Name  string `json:"name" doc:"site, rack, role or owner"`
	Value string `json:"value"`
	From  string `json:"from" doc:"register (a person, the API, a table), enrolment (the join token) or pattern (of the name); the first of these that says something holds. Empty = no label, or set before this was noted"`
}

// LabelsRequest changes labels of many servers; each by itself.
type LabelsRequest struct {
	Changes []LabelChange `json:"changes" doc:"1 to 1000 servers"`
}

// LabelChange is new labels of one server.
type LabelChange struct {
	ServerID string  `json:"server_id"`
	Version  string  `json:"labels_version" doc:"of the server as it was read"`
	Site     *string `json:"site" doc:"null = leave; empty = none, or what a pattern of the name gives"`
	Rack     *string `json:"rack"`
	Role     *string `json:"role"`
	Owner    *string `json:"owner"`
}

// LabelsAnswer says of every server what became of it.
type LabelsAnswer struct {
	Items   []LabelsResult `json:"items"`
	Changed int            `json:"changed"`
	Failed  int            `json:"failed"`
}

// LabelsResult is what became of one change. The list shows it within seconds:
// labels reach the ruler through the stream, like everything else.
type LabelsResult struct {
	ServerID string `json:"server_id"`
	Changed  bool   `json:"changed" doc:"false without error: it had these labels already"`
	Conflict bool   `json:"conflict" doc:"true: somebody was faster, nothing was changed"`
	Error    string `json:"error"`
	Hint     string `json:"hint"`
	Version  string `json:"labels_version" doc:"of the labels that hold now, as far as is known"`
}

// RegisterList is a page of the register.
type RegisterList struct {
	Items  []RegisterEntry `json:"items"`
	Total  int             `json:"total"`
	Limit  int             `json:"limit"`
	Offset int             `json:"offset"`
}

// RegisterEntry is a server as people know it, and the one that it means.
type RegisterEntry struct {
	Name          string     `json:"name"`
	Serial        string     `json:"serial" doc:"of the machine"`
	Site          string     `json:"site"`
	Rack          string     `json:"rack"`
	Role          string     `json:"role"`
	Owner         string     `json:"owner"`
	WarrantyUntil string     `json:"warranty_until" doc:"last day, 2028-03-31; empty = not said"`
	Contract      string     `json:"contract"`
	Note          string     `json:"note"`
	CreatedAt     *time.Time `json:"created_at"`
	ChangedAt     *time.Time `json:"changed_at"`
	By            string     `json:"by"`
	Version       int64      `json:"version"`
	ServerID      string     `json:"server_id" doc:"the server that it means, by name or else by serial number; empty = none enrolled"`
	Server        string     `json:"server"`
	State         string     `json:"state"`
	LastSeen      *time.Time `json:"last_seen"`
	Missing       bool       `json:"missing" doc:"true: expected and never heard"`
}

// RegisterRequest is an entry of the register; its name is in the path.
type RegisterRequest struct {
	Serial        string `json:"serial"`
	Site          string `json:"site" doc:"empty = nothing is said of it"`
	Rack          string `json:"rack"`
	Role          string `json:"role"`
	Owner         string `json:"owner"`
	WarrantyUntil string `json:"warranty_until" doc:"last day, 2028-03-31"`
	Contract      string `json:"contract"`
	Note          string `json:"note"`
	Version       int64  `json:"version" doc:"that was read; 0 = a new entry"`
}

// ImportRequest is a table for the register.
type ImportRequest struct {
	CSV    string `json:"csv" doc:"a line of headings, of which name must be there; commas or semicolons; at most 4 MiB and 20,000 lines. Columns that are not in it stay as they are"`
	DryRun bool   `json:"dry_run" doc:"true: only say what would happen"`
}

// ImportAnswer says what an import did, or would do. With problems it did nothing.
type ImportAnswer struct {
	DryRun    bool            `json:"dry_run"`
	Text      string          `json:"text"`
	Added     int             `json:"added"`
	Changed   int             `json:"changed"`
	Unchanged int             `json:"unchanged"`
	Problems  []ImportProblem `json:"problems" doc:"at most 100"`
	Changes   []ImportChange  `json:"changes" doc:"at most 100"`
}

// ImportProblem is a mistake in a table.
type ImportProblem struct {
	Line   int    `json:"line" doc:"0 = of the whole table"`
	Column string `json:"column"`
	Error  string `json:"error"`
	Hint   string `json:"hint"`
}

// ImportChange is what an import changes in one entry.
type ImportChange struct {
	Line   int         `json:"line" doc:"of the table, where the entry begins; the headings are line 1"`
	Name   string      `json:"name"`
	New    bool        `json:"new"`
	Fields []FieldDiff `json:"fields"`
}

// Table is a table as a file.
type Table struct {
	Name  string `json:"name" doc:"for the file"`
	Lines int    `json:"lines"`
	CSV   string `json:"csv"`
}

// Done says that something was done.
type Done struct {
	Done bool `json:"done"`
}
