package updates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"time"
)

// answer is what the child says: the words and numbers of the Windows Update
// Agent, judged by the parent. A part that failed has its error and is not
// known.
type answer struct {
	Entries      []entry   `json:"entries"`
	EntriesError string    `json:"entries_error,omitempty"`
	Waiting      []waiting `json:"waiting"`
	WaitingError string    `json:"waiting_error,omitempty"`
	SearchResult int64     `json:"search_result,omitempty"`
	// LastSearch is Microsoft.Update.AutoUpdate's LastSearchSuccessDate.
	LastSearch   time.Time `json:"last_search,omitzero"`
	Notification int64     `json:"notification,omitempty"` // NotificationLevel
	Reboot       *bool     `json:"reboot,omitempty"`       // Microsoft.Update.SystemInfo
}

// entry is an IUpdateHistoryEntry2.
type entry struct {
	Title      string    `json:"title"`
	ID         string    `json:"id,omitempty"`
	When       time.Time `json:"when,omitzero"`
	Operation  int64     `json:"operation,omitempty"`
	Result     int64     `json:"result,omitempty"`
	Code       int64     `json:"code,omitempty"`
	Unmapped   int64     `json:"unmapped,omitempty"`
	Categories []string  `json:"categories,omitempty"`
}

// waiting is an IUpdate.
type waiting struct {
	Title      string    `json:"title"`
	ID         string    `json:"id,omitempty"`
	KBs        []string  `json:"kbs,omitempty"`
	Severity   string    `json:"severity,omitempty"`
	Published  time.Time `json:"published,omitzero"`
	Categories []string  `json:"categories,omitempty"` // numbers
	Names      []string  `json:"names,omitempty"`      // of the categories, in the machine's language
	Mandatory  bool      `json:"mandatory,omitempty"`
	Downloaded bool      `json:"downloaded,omitempty"`
	Reboot     int64     `json:"reboot,omitempty"` // InstallationRebootBehavior
}

// maxAnswer bounds what a child or a tool writes.
const maxAnswer = 8 << 20

// parseAnswer reads what the child wrote: one document, no unknown keys.
func parseAnswer(b []byte) (*answer, error) {
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("answer of the Windows Update Agent: %d bytes, the limit is %d", len(b), maxAnswer)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var a answer
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("answer of the Windows Update Agent: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("answer of the Windows Update Agent: more than one document")
	}
	return &a, nil
}

// OperationResultCode (wuapi.h).
var results = map[int64]string{1: StateRunning, 2: StateSucceeded, 3: StatePartly, 4: StateFailed, 5: StateAborted}

// hresult is how Microsoft writes an error: 0x80240022.
func hresult(code int64) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprintf("0x%08X", uint32(code))
}

// fill adds what the agent said to a report; its error says which parts are
// missing.
func (r *Report) fill(a *answer) error {
	var errs []error
	s := &r.Status
	s.LastSearch = a.LastSearch
	if s.Automatic == "" {
		s.Automatic = notifications[a.Notification]
	}
	if a.Reboot != nil && *a.Reboot {
		s.Reboot = a.Reboot
		s.RebootReasons = append(s.RebootReasons, "update agent")
	} else if s.Reboot == nil {
		s.Reboot = a.Reboot
	}
	if a.EntriesError != "" {
		errs = append(errs, errors.New("history of updates: "+a.EntriesError))
	} else {
		r.InstalledKnown = true
		r.history(a.Entries)
	}
	switch {
	case a.WaitingError != "":
		errs = append(errs, errors.New("search for updates: "+a.WaitingError))
	case a.SearchResult != 2 && a.SearchResult != 3:
		errs = append(errs, fmt.Errorf("search for updates: ended as %d, want 2 (succeeded)", a.SearchResult))
	default:
		r.PendingKnown = true
		r.waiting(a.Waiting)
	}
	return errors.Join(errs...)
}

func (r *Report) history(entries []entry) {
	s := &r.Status
	for i := range entries {
		e := &entries[i]
		kb := ParseKB(e.Title)
		ok := e.Result == 2 || e.Result == 3
		if isDefinition(e.Categories, kb, e.Title) {
			if ok && e.When.After(s.LastDefinitions) {
				s.LastDefinitions = e.When
			}
			continue
		}
		in := Installed{ID: strings.ToLower(e.ID), KB: kb, Title: e.Title, When: e.When, State: results[e.Result], Operation: operations[e.Operation]}
		if !ok {
			in.Code = hresult(e.Code)
		}
		if ok && e.Operation != operationUninstall && e.When.After(s.LastSuccess) {
			s.LastSuccess = e.When
		}
		if e.Result == 4 && e.When.After(s.LastErrorTime) {
			s.LastErrorTime, s.LastError = e.When, strings.TrimSpace(in.Code+" "+e.Title)
		}
		r.Installed = append(r.Installed, in)
	}
	newestFirst(r.Installed)
}

const operationUninstall = 2

// operations are UpdateOperation (wuapi.h).
var operations = map[int64]string{1: "install", operationUninstall: "uninstall"}

func (r *Report) waiting(list []waiting) {
	for i := range list {
		w := &list[i]
		kb := ParseKB(w.Title)
		if kb == "" && len(w.KBs) > 0 {
			kb = ParseKB("KB" + strings.TrimPrefix(strings.ToUpper(w.KBs[0]), "KB"))
		}
		if isDefinition(w.Categories, kb, w.Title) {
			r.Status.Definitions++
			continue
		}
		p := Pending{ID: strings.ToLower(w.ID), KB: kb, Title: w.Title, Severity: w.Severity, Mandatory: w.Mandatory, Downloaded: &w.Downloaded}
		if p.Category, p.Security = classify(w.Categories, w.Severity, w.Title); p.Category == "" && len(w.Names) > 0 {
			p.Category = w.Names[0]
		}
		if !w.Published.IsZero() {
			p.Published = w.Published.UTC().Format(time.DateOnly)
		}
		restarts := w.Reboot != 0 // 0 never, 1 always, 2 possibly
		p.Reboot = &restarts
		r.Pending = append(r.Pending, p)
	}
}

// notifications are AutomaticUpdatesNotificationLevel (wuapi.h).
var notifications = map[int64]string{1: "off", 2: "notify", 3: "download", 4: "install"}

// facts are what the registry says of updating.
type facts struct {
	server     string // WUServer
	useServer  bool   // UseWUServer
	noAuto     bool   // NoAutoUpdate
	options    int64  // AUOptions of the policy, or of the machine
	start      int64  // of the service wuauserv, -1 = it has no such service
	pendingCBS bool   // Component Based Servicing\RebootPending
	requiredWU bool   // WindowsUpdate\Auto Update\RebootRequired
	renames    bool   // PendingFileRenameOperations
}

// policies are AUOptions (gpedit: Configure Automatic Updates).
var policies = map[int64]string{2: "notify", 3: "download", 4: "install", 5: "local_administrator", 7: "notify_to_restart"}

// startTypes are those of a service.
var startTypes = map[int64]string{0: "boot", 1: "system", 2: "automatic", 3: "manual", 4: serviceDisabled, -1: "missing"}

// status says what the registry says. Pending renames alone are no reason for
// a restart: browsers and virus scanners leave them every day.
func (f facts) status() Status {
	s := Status{Source: "Windows Update", Service: startTypes[f.start]}
	if f.useServer && f.server != "" {
		s.Source, s.Server = "WSUS", withoutSecrets(f.server)
	}
	if s.Automatic = policies[f.options]; f.noAuto {
		s.Automatic = "off"
	}
	if f.pendingCBS {
		s.RebootReasons = append(s.RebootReasons, "component servicing")
	}
	if f.requiredWU {
		s.RebootReasons = append(s.RebootReasons, "windows update")
	}
	required := len(s.RebootReasons) > 0
	if s.Reboot = &required; required && f.renames {
		s.RebootReasons = append(s.RebootReasons, "pending file renames")
	}
	return s
}

// credentials are what an address may hold before its host.
var credentials = regexp.MustCompile(`://[^/?#\s]*@`)

// withoutSecrets cuts users and passwords from the addresses in a text.
func withoutSecrets(text string) string { return credentials.ReplaceAllString(text, "://") }

// oleDate is an Automation date in UTC: days since 1899-12-30. What is before
// 1990 is no date; the agent says 0 for never.
func oleDate(days float64) time.Time {
	const epoch = 25569 // 1970-01-01
	if math.IsNaN(days) || days < 32874 || days > 1e6 {
		return time.Time{}
	}
	return time.Unix(int64(math.Round((days-epoch)*86400)), 0).UTC()
}
