package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"nocturne/internal/record"
	"nocturne/ruler/register"
	"nocturne/ruler/store"
)

func (s *server) registerRoutes() []route {
	name := param{name: "name", kind: kindText, max: maxName, path: true, doc: "name of the server, without regard to case"}
	return []route{
		{method: "POST", path: "/labels", name: "set_labels", summary: "Change labels of many servers",
			body: LabelsRequest{}, result: LabelsAnswer{}, role: roleEditor, maxBody: 1 << 20, handle: s.setLabels},
		{method: "GET", path: "/register", name: "register", summary: "Servers that are expected, their owners and warranty",
			params: []param{
				{name: "search", kind: kindText, max: maxName, doc: "part of name, serial, site, owner, contract or note"},
				{name: "missing", kind: kindBool, doc: "only those that were never heard, or only the others"},
				{name: "warranty_ends_before", kind: kindTime, doc: "whose warranty ends before this time"}, limitParam(), offsetParam(),
			}, result: RegisterList{}, handle: s.register},
		{method: "PUT", path: "/register/entries/{name}", name: "put_register", summary: "Write one entry of the register",
			params: []param{name}, body: RegisterRequest{}, result: RegisterEntry{}, role: roleEditor, handle: s.putRegister},
		{method: "DELETE", path: "/register/entries/{name}", name: "delete_register", summary: "Take an entry out of the register",
			params: []param{name}, result: Done{}, role: roleEditor, handle: s.deleteRegister},
		{method: "POST", path: "/register/import", name: "import_register", summary: "Import the register from a table (CSV), or try to",
			body: ImportRequest{}, result: ImportAnswer{}, role: roleEditor, maxBody: 2 * register.MaxBytes, handle: s.importRegister},
		{method: "GET", path: "/register/export", name: "export_register", summary: "The register as a table (CSV) that can be imported again",
			result: Table{}, handle: s.exportRegister},
	}
}

// labelsVersion changes when a label does; a change names the one that it was
// decided on.
func labelsVersion(v *store.Server) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{v.Site, v.Rack, v.Role, v.Owner}, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// labelsOf lists labels and where each comes from.
func labelsOf(v *store.Server) []Label {
	from := map[string]string{}
	for f := range strings.FieldsSeq(v.LabelsFrom) {
		name, source, _ := strings.Cut(f, "=")
		from[name] = clip(source, maxName)
	}
	out := []Label{}
	for _, l := range [...]struct{ name, value string }{{"site", v.Site}, {"rack", v.Rack}, {"role", v.Role}, {"owner", v.Owner}} {
		out = append(out, Label{Name: l.name, Value: clip(l.value, maxName), From: from[l.name]})
	}
	return out
}

const (
	maxLabelChanges = 1000
	labelWorkers    = 8
)

func (s *server) bridge() register.Bridge {
	return register.Bridge{URL: s.cfg.Bridge.URL, TokenFile: s.cfg.Bridge.TokenFile, Client: s.client}
}

func (s *server) setLabels(r *request) (any, error) {
	if s.cfg.Bridge.URL == "" {
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "this ruler knows no eventbridge, which keeps the labels", hint: "set api.bridge.url and api.bridge.token_file"}
	}
	var q LabelsRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	if len(q.Changes) == 0 || len(q.Changes) > maxLabelChanges {
		return nil, badRequest(fmt.Sprintf("1 to %d servers at a time", maxLabelChanges), "%d changes", len(q.Changes))
	}
	seen := map[string]bool{}
	for i := range q.Changes {
		c := &q.Changes[i]
		if _, err := record.ParseID(c.ServerID); err != nil || seen[c.ServerID] {
			return nil, badRequest("each server once, with its id of 32 hexadecimal digits", "changes[%d].server_id: %.80q does not fit", i, c.ServerID)
		}
		seen[c.ServerID] = true
		for _, l := range []struct {
			name  string
			value *string
		}{{"site", c.Site}, {"rack", c.Rack}, {"role", c.Role}, {"owner", c.Owner}} {
			if l.value != nil && (len(*l.value) > 128 || inline(*l.value) != *l.value || strings.TrimSpace(*l.value) != *l.value) {
				return nil, badRequest("at most 128 bytes of plain text", "changes[%d].%s: %.80q does not fit", i, l.name, *l.value)
			}
		}
	}
	out := LabelsAnswer{Items: make([]LabelsResult, len(q.Changes))}
	g := errgroup.Group{}
	g.SetLimit(labelWorkers)
	for i := range q.Changes {
		g.Go(func() error {
			out.Items[i] = s.setOne(r, &q.Changes[i])
			return nil
		})
	}
	_ = g.Wait() // what went wrong is in the answers
	for _, v := range out.Items {
		switch {
		case v.Error != "":
			out.Failed++
		case v.Changed:
			out.Changed++
		}
	}
	return out, nil
}

// setOne changes one server's labels, if they are still those that the caller saw.
func (s *server) setOne(r *request, c *LabelChange) LabelsResult {
	out := LabelsResult{ServerID: c.ServerID}
	fail := func(msg, hint string) LabelsResult {
		out.Error, out.Hint = msg, hint
		return out
	}
	id, _ := record.ParseID(c.ServerID) // checked before
	d, err := s.reader.Server(r.ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fail("no such server", "its id is in the answer of the list")
	case err != nil:
		s.log.Error("read server for its labels", "server_id", id, "err", err)
		return fail("the ruler could not answer", "its log says why")
	case d.CloneOf != "":
		return fail("this is the second line of a cloned identity", "change the labels of "+d.CloneOf)
	}
	out.Version = labelsVersion(&d.Server)
	if c.Version != out.Version {
		out.Conflict = true
		return fail("somebody changed its labels since you read them", "read the server again and decide anew")
	}
	was := register.LabelsOf(&d.Server)
	to := register.Labels{Site: *cmp.Or(c.Site, &was.Site), Rack: *cmp.Or(c.Rack, &was.Rack), Role: *cmp.Or(c.Role, &was.Role), Owner: *cmp.Or(c.Owner, &was.Owner)}
	if to == was {
		return out
	}
	if err := s.bridge().SetLabels(r.ctx, id, to, was, r.actor); err != nil {
		var refused *register.Refused
		switch {
		case errors.Is(err, register.ErrChanged):
			out.Conflict = true
			return fail("somebody changed its labels just now", "read the server again in a moment and decide anew")
		case errors.As(err, &refused) && refused.Status/100 == 4 && refused.Status != http.StatusUnauthorized:
			return fail("the eventbridge: "+inline(refused.Text), inline(refused.Hint))
		}
		s.log.Warn("set labels", "server_id", id, "err", err)
		return fail("the eventbridge does not answer as it should", "is it running, and api.bridge.token_file its admin.token?")
	}
	out.Changed = true
	now := d.Server
	now.Site, now.Rack, now.Role, now.Owner = to.Site, to.Rack, to.Role, to.Owner
	out.Version = labelsVersion(&now)
	e := register.Entry(s.now(), r.actor, id.String(), was, to)
	e.Via = r.who.via
	s.audited(r, e)
	s.rewrite(r, id, was, to)
	return out
}

// audited appends to the audit log where there is one.
func (s *server) audited(r *request, e store.AuditEntry) {
	if a, ok := s.reader.(auditor); ok {
		if err := a.Audit(context.WithoutCancel(r.ctx), e); err != nil {
			s.log.Error("change not in the audit log", "action", e.Action, "subject", e.Subject, "err", err)
		}
	}
}

// rewrite writes changed labels into the server's entry of the register, so that
// it does not say the old ones again.
func (s *server) rewrite(r *request, id record.ID, was, to register.Labels) {
	w, ok := s.reader.(store.RegisterWriter)
	if !ok {
		return
	}
	page, err := s.reader.Register(r.ctx, store.RegisterQuery{Servers: []record.ID{id}})
	for i := range page.Entries {
		e := page.Entries[i]
		for _, f := range []struct {
			entry   *string
			was, to string
		}{{&e.Site, was.Site, to.Site}, {&e.Rack, was.Rack, to.Rack}, {&e.Role, was.Role, to.Role}, {&e.Owner, was.Owner, to.Owner}} {
			if *f.entry != "" && f.was != f.to {
				*f.entry = f.to
			}
		}
		e.Version, e.Changed, e.By = store.AnyVersion, s.now(), r.actor
		err = errors.Join(err, w.PutRegister(context.WithoutCancel(r.ctx), []store.RegisterEntry{e}))
	}
	if err != nil {
		s.log.Error("the register still says the old labels", "server_id", id, "err", err)
	}
}

func (s *server) register(r *request) (any, error) {
	q := store.RegisterQuery{Text: r.text("search"), Missing: r.bool("missing"), WarrantyBefore: r.time("warranty_ends_before"), Offset: r.int("offset"), Limit: r.int("limit")}
	page, err := s.reader.Register(r.ctx, q)
	if err != nil {
		return nil, err
	}
	return RegisterList{Items: mapSlice(page.Entries, registerOf), Total: page.Total, Limit: q.Limit, Offset: q.Offset}, nil
}

func registerOf(e store.RegisterEntry) RegisterEntry {
	out := RegisterEntry{
		Name: clip(e.Name, maxName), Serial: clip(e.Serial, maxName), Site: clip(e.Site, maxName), Rack: clip(e.Rack, maxName), Role: clip(e.Role, maxName), Owner: clip(e.Owner, maxName),
		WarrantyUntil: register.Get(&e, "warranty_until"), Contract: clip(e.Contract, maxName), Note: clip(e.Note, maxText), CreatedAt: at(e.Created), ChangedAt: at(e.Changed), By: clip(e.By, maxName), Version: e.Version,
	}
	if !e.Server.ID.IsZero() {
		out.ServerID, out.Server, out.State, out.LastSeen = e.Server.ID.String(), clip(cmp.Or(e.Server.Name, e.Server.ReportedName), maxName), string(e.Server.State), at(e.Server.LastSeen)
	}
	out.Missing = e.Server.LastSeen.IsZero()
	return out
}

func (s *server) registerWriter() (store.RegisterWriter, error) {
	w, ok := s.reader.(store.RegisterWriter)
	if !ok {
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "this store keeps no register", hint: "ask the ruler itself"}
	}
	return w, nil
}

func (s *server) putRegister(r *request) (any, error) {
	w, err := s.registerWriter()
	if err != nil {
		return nil, err
	}
	var q RegisterRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	e := store.RegisterEntry{Version: q.Version, Changed: s.now(), By: r.actor}
	for _, c := range []struct{ column, value string }{{"name", r.text("name")}, {"serial", q.Serial}, {"site", q.Site}, {"rack", q.Rack}, {"role", q.Role}, {"owner", q.Owner},
		{"warranty_until", q.WarrantyUntil}, {"contract", q.Contract}, {"note", q.Note}} {
		if err := register.Set(&e, c.column, strings.TrimSpace(c.value)); err != nil {
			return nil, badRequest(register.Hint(err), "%s: %s", c.column, err)
		}
	}
	if q.Version < 0 {
		return nil, badRequest("0 for a new entry, else the version that was read", "version: %d does not fit", q.Version)
	}
	was, err := s.registered(r, e.Name)
	if err != nil {
		return nil, err
	}
	if err := w.PutRegister(r.ctx, []store.RegisterEntry{e}); err != nil {
		return nil, stale(err)
	}
	s.audit(r, "register.put", e.Name, registerDetail(&was, &e))
	page, err := s.reader.Register(r.ctx, store.RegisterQuery{Names: []string{e.Name}})
	if err != nil || len(page.Entries) != 1 {
		return nil, errors.Join(err, errors.New("the entry is not there after it was written"))
	}
	return registerOf(page.Entries[0]), nil
}

// registered is what the register says under a name; nothing = an empty entry.
func (s *server) registered(r *request, name string) (store.RegisterEntry, error) {
	page, err := s.reader.Register(r.ctx, store.RegisterQuery{Names: []string{name}})
	if err != nil || len(page.Entries) == 0 {
		return store.RegisterEntry{}, err
	}
	return page.Entries[0], nil
}

// registerDetail is what the audit log keeps of a changed entry: what differs.
func registerDetail(was, is *store.RegisterEntry) map[string]any {
	out := map[string]any{}
	for _, c := range register.Columns {
		if before, after := register.Get(was, c), register.Get(is, c); before != after && c != "name" {
			out[c] = map[string]string{"before": before, "after": after}
		}
	}
	return out
}

// stale words a change that was decided on something old.
func stale(err error) error {
	if !errors.Is(err, store.ErrStale) {
		return err
	}
	return &problem{status: http.StatusConflict, msg: "somebody changed this since you read it: " + inline(err.Error()), hint: "read it again and decide anew; version 0 makes a new one"}
}

func (s *server) deleteRegister(r *request) (any, error) {
	w, err := s.registerWriter()
	if err != nil {
		return nil, err
	}
	was, err := s.registered(r, r.text("name"))
	if err != nil {
		return nil, err
	}
	if err := w.DeleteRegister(r.ctx, r.text("name")); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil, &problem{status: http.StatusNotFound, msg: "no such entry in the register", hint: "its name is in the answer of the list"}
		}
		return nil, err
	}
	s.audit(r, "register.delete", r.text("name"), registerDetail(&was, &store.RegisterEntry{}))
	return Done{Done: true}, nil
}

func (s *server) importRegister(r *request) (any, error) {
	w, err := s.registerWriter()
	if err != nil {
		return nil, err
	}
	var q ImportRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	out := ImportAnswer{DryRun: q.DryRun, Problems: []ImportProblem{}, Changes: []ImportChange{}}
	table, problems := register.Read(q.CSV)
	for _, p := range problems {
		out.Problems = append(out.Problems, ImportProblem{Line: p.Line, Column: p.Column, Error: inline(p.Error), Hint: p.Hint})
	}
	if len(problems) > 0 {
		out.Text = "Nothing was imported: the table has mistakes."
		return out, nil
	}
	now, err := s.reader.Register(r.ctx, store.RegisterQuery{Limit: 100_000})
	if err != nil {
		return nil, err
	}
	known := make(map[string]store.RegisterEntry, len(now.Entries))
	for _, e := range now.Entries {
		known[strings.ToLower(e.Name)] = e
	}
	var write []store.RegisterEntry
	for i, row := range table.Entries {
		old, there := known[strings.ToLower(row.Name)]
		e := register.Merge(old, row, table.Told)
		change := ImportChange{Line: table.Lines[i], Name: clip(e.Name, maxName), New: !there, Fields: []FieldDiff{}}
		for _, c := range register.Columns {
			if before, after := register.Get(&old, c), register.Get(&e, c); before != after {
				change.Fields = append(change.Fields, FieldDiff{Name: c, Before: clip(before, maxText), After: clip(after, maxText)})
			}
		}
		switch {
		case !there:
			out.Added++
		case len(change.Fields) == 0:
			out.Unchanged++
			continue
		default:
			out.Changed++
		}
		e.Changed, e.By, e.Version = s.now(), r.actor, old.Version
		write = append(write, e)
		if len(out.Changes) < register.MaxErrors {
			out.Changes = append(out.Changes, change)
		}
	}
	if q.DryRun {
		out.Text = fmt.Sprintf("%d would be added, %d changed, %d are as they are.", out.Added, out.Changed, out.Unchanged)
		return out, nil
	}
	if err := w.PutRegister(r.ctx, write); err != nil {
		return nil, stale(err)
	}
	out.Text = fmt.Sprintf("%d added, %d changed, %d were as they are. Labels of servers follow within a minute.", out.Added, out.Changed, out.Unchanged)
	detail := map[string]any{"added": out.Added, "changed": out.Changed, "unchanged": out.Unchanged}
	for i := range write[:min(len(write), register.MaxErrors)] { // as many as a caller is told
		was := known[strings.ToLower(write[i].Name)]
		detail["entry "+write[i].Name] = registerDetail(&was, &write[i])
	}
	s.audit(r, "register.import", "", detail)
	return out, nil
}

func (s *server) exportRegister(r *request) (any, error) {
	page, err := s.reader.Register(r.ctx, store.RegisterQuery{Limit: 100_000})
	if err != nil {
		return nil, err
	}
	b, err := register.Write(page.Entries)
	if err != nil {
		return nil, err
	}
	return Table{Name: "nocturne-register-" + s.now().UTC().Format(time.DateOnly) + ".csv", Lines: len(page.Entries), CSV: string(b)}, nil
}

// entriesFor finds what the register says of a server.
func (s *server) entriesFor(r *request, v *store.Server) ([]RegisterEntry, error) {
	page, err := s.reader.Register(r.ctx, store.RegisterQuery{Servers: []record.ID{v.ID}})
	return mapSlice(page.Entries, registerOf), err
}

// addRegister writes what the register says of the servers of a page into it.
func (s *server) addRegister(r *request, items []Server, servers []store.Server) error {
	if len(servers) == 0 {
		return nil
	}
	ids, place := make([]record.ID, len(servers)), make(map[record.ID]int, len(servers))
	for i := range servers {
		ids[i] = servers[i].ID
		place[ids[i]] = i
	}
	page, err := s.reader.Register(r.ctx, store.RegisterQuery{Servers: ids, Limit: 2 * len(ids)})
	if err != nil {
		return err
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		if at, ok := place[e.Server.ID]; ok && items[at].WarrantyUntil == "" && items[at].Contract == "" {
			items[at].WarrantyUntil, items[at].Contract = register.Get(e, "warranty_until"), clip(e.Contract, maxName)
		}
	}
	return nil
}
