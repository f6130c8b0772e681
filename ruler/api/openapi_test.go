package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/api/apitest"
	"nocturne/ruler/store"
)

// asks are one good request per operation; a new route without one fails here.
var asks = map[string][2]string{
	"overview":       {"/overview"},
	"servers":        {"/servers"},
	"server":         {"/servers/" + apitest.ID(16).String()},
	"server_history": {"/servers/" + apitest.ID(5).String() + "/history"},
	"server_diff":    {"/servers/" + apitest.ID(5).String() + "/diff?from=2026-11-20T12:00:00Z"},
	"serials":        {"/serials?search=ZA105"},
	"serial":         {"/serials/ZA10504K"},
	"server_facets":  {"/server-facets"},
	"systems":        {"/systems"},
	"updates":        {"/updates"},
	"devices":        {"/devices?status=critical,warning"},
	"device_facets":  {"/device-facets?device_type=physical_drive"},
	"server_ledger":  {"/servers/" + apitest.ID(5).String() + "/ledger"},
	"changes":        {"/changes"},
	"notifications":  {"/notifications"},
	"notification":   {"/notifications/a1b2c3d4e5f60718"},
	"silent":         {"/silent?planned=true"},
	"pipeline":       {"/pipeline"},
	"charts":         {"/charts"},
	"chart":          {"/charts/cpu?server=" + apitest.ID(5).String()},
	"delivered":      {"/delivered"},
	"demo_incident":  {"/demo/incident", `{"kind":"drive","server_id":"` + apitest.ID(5).String() + `"}`},
	"join_tokens":    {"/join-tokens", `{"site":"north"}`},

	"join_token_list":   {"/join-tokens"},
	"join_token_revoke": {"/join-tokens/5f2c91aa07"},
	"login_state":       {"/login"},
	"login":             {"/login", `{"name":"ada","password":"` + fixedPassword + `"}`},
	"logout":            {"/logout", `{}`},
	"login_link":        {"/login/link", `{"token":"` + fixedSecret('A') + `"}`},
	"login_welcome":     {"/login/welcome", `{"token":"` + fixedSecret('E') + `","password":"another long one"}`},
	"password":          {"/password", `{"current":"` + fixedPassword + `","password":"another long one"}`},
	"users":             {"/users"},
	"user_add":          {"/users", `{"name":"zoe","role":"viewer"}`},
	"user_link":         {"/users/ada/link", `{}`},
	"user_role":         {"/users/ada/role", `{"role":"editor"}`},
	"user_remove":       {"/users/leaves"},

	"audit":        {"/audit"},
	"discovery":    {"/discovery"},
	"openapi":      {"/openapi.json"},
	"me":           {"/me"},
	"tokens":       {"/tokens"},
	"token_add":    {"/tokens", `{"name":"x","role":"viewer"}`},
	"token_revoke": {"/tokens/revokable"},
	"silences":     {"/silences"},
	"rules_noise":  {"/rules/noise?since=30d"},
	"silence_add":  {"/silences", `{"site":"north","duration_seconds":3600,"reason":"power"}`},
	"silence_lift": {"/silences/liftable"},

	"windows":        {"/windows?standing=false"},
	"window":         {"/windows/bern-patching"},
	"window_plan":    {"/windows", `{"servers":{"site":["north"]},"duration_seconds":3600,"reason":"power"}`},
	"window_preview": {"/windows/preview", `{"servers":{"site":["north"]},"weekly":{"days":["tue"],"from":"22:00","to":"02:00","zone":"Europe/Zurich"}}`},
	"window_change":  {"/windows/bern-patching", `{"version":1,"all_servers":true,"weekly":{"days":["tue"],"from":"22:00","to":"02:00","zone":"Europe/Zurich"},"reason":"firmware"}`},
	"window_end":     {"/windows/bern-patching?version=1&comment=done"},

	"notification_acknowledge":   {"/notifications/a1b2c3d4e5f60718/acknowledge", `{"revision":-1}`},
	"notification_unacknowledge": {"/notifications/a1b2c3d4e5f60718/unacknowledge", `{"revision":-1}`},
	"notification_comment":       {"/notifications/a1b2c3d4e5f60718/comment", `{"text":"looking"}`},
	"notification_assign":        {"/notifications/a1b2c3d4e5f60718/assign", `{"revision":-1,"assignee":"bob"}`},
	"notification_silence":       {"/notifications/a1b2c3d4e5f60718/silence", `{"revision":-1,"duration_seconds":3600}`},
	"notification_unsilence":     {"/notifications/a1b2c3d4e5f60718/unsilence", `{"revision":-1}`},
	"deeds":                      {"/deeds", `{"deed":"comment","text":"all","notifications":[{"id":"a1b2c3d4e5f60718"},{"id":"none"}]}`},
	"rules":                      {"/rules?source=store"},
	"rule":                       {"/rules/disk-bad-block"},
	"rule_create":                {"/rules", `{"yaml":` + quote(strings.Replace(apitest.StoredRule, "id: nic-link-lost", "id: another", 1)) + `,"comment":"x"}`},
	"rule_update":                {"/rules/nic-link-lost", `{"version":1,"yaml":` + quote(strings.Replace(apitest.StoredRule, "12h", "6h", 1)) + `}`},
	"rule_switch":                {"/rules/server-silent/enabled", `{"enabled":false,"version":0,"comment":"x"}`},
	"rule_restore":               {"/rules/nic-link-lost/restore", `{"restore":1,"version":1}`},
	"rule_delete":                {"/rules/nic-link-lost?version=1"},
	"rule_versions":              {"/rules/nic-link-lost/versions"},
	"rule_diff":                  {"/rules/nic-link-lost/diff?from=1&to=1"},
	"rule_backtest":              {"/rules/backtest", `{"id":"disk-bad-block","since_seconds":60}`},
	"rule_validate":              {"/rules/validate", `{"yaml":"id: x","id":""}`},
	"rules_reload":               {"/rules/reload", `{}`},
	"rule_generations":           {"/rules/generations"},

	"events":          {"/events?limit=2&provider=disk"},
	"event":           {"/events/" + loggedEvent},
	"event_counts":    {"/event-counts?by=provider&step=hour"},
	"event_kinds":     {"/event-kinds?since=2026-11-01T00:00:00Z"},
	"set_labels":      {"/labels", `{"changes":[{"server_id":"` + apitest.ID(5).String() + `","labels_version":"x","site":"south"}]}`},
	"register":        {"/register"},
	"put_register":    {"/register/entries/new-7", `{"site":"fra","warranty_until":"2028-03-31"}`},
	"delete_register": {"/register/entries/spare-1"},
	"import_register": {"/register/import", `{"csv":"name,site\ndb7,fra\n","dry_run":true}`},
	"export_register": {"/register/export"},
}

type document struct {
	OpenAPI    string                             `json:"openapi"`
	Paths      map[string]map[string]operationDoc `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type operationDoc struct {
	ID        string `json:"operationId"`
	Summary   string `json:"summary"`
	Responses map[string]struct {
		Content map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
	Parameters []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"parameters"`
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Enum       []string          `json:"enum"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Additional any               `json:"additionalProperties"`
	AnyOf      []schema          `json:"anyOf"`
}

// Every route is in the document and the other way round, and every field of a
// real answer is in its schema and the other way round.
func TestDocumentMatchesAnswers(t *testing.T) {
	b, s := stored(t, nil)
	if err := s.AddToken(t.Context(), store.Token{ID: "revokable", Name: "revokable"}, store.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	liftable := store.Silence{ID: "liftable", Kind: store.SilenceMaintenance, Starts: now, Ends: now.Add(time.Hour)}
	if err := s.AddSilence(t.Context(), liftable, store.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	cookie := b.people(s)
	var doc document
	if err := json.Unmarshal(b.call("GET", Prefix+"/openapi.json", "", nil).Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	seen := map[string]bool{}
	for _, path := range inOrder(slices.Collect(maps.Keys(doc.Paths))) {
		for method, op := range doc.Paths[path] {
			if op.ID == "stream" {
				continue // it does not end: TestStream reads it
			}
			ask, ok := asks[op.ID]
			if !ok {
				t.Errorf("%s %s: no question in this test", method, path)
				continue
			}
			seen[op.ID] = true
			on := b
			if strings.HasPrefix(op.ID, "rule") || strings.HasPrefix(op.ID, "window") {
				on = newBench(t, nil) // each edit is made on version 1
			}
			var edit func(*http.Request)
			if op.ID == "password" {
				edit = func(r *http.Request) { r.AddCookie(cookie) }
			}
			w := on.call(strings.ToUpper(method), Prefix+ask[0], ask[1], edit)
			if w.Code != http.StatusOK {
				t.Errorf("%s %s answered %d: %s", method, path, w.Code, w.Body)
				continue
			}
			body := bytes.TrimSpace(w.Body.Bytes())
			if w.Header().Get("Content-Type") == "application/x-ndjson" { // the last of its lines
				body = body[bytes.LastIndexByte(body, '\n')+1:]
			}
			var v any
			if err := json.Unmarshal(body, &v); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
			for _, bad := range doc.check(op.Responses["200"].Content["application/json"].Schema, v, op.ID) {
				t.Error(bad)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: parameter %s has no description", op.ID, p.Name)
				}
			}
		}
	}
	for name := range asks {
		if !seen[name] {
			t.Errorf("%s is not in the document", name)
		}
	}
	var p any
	if err := json.Unmarshal(b.call("GET", Prefix+"/nothing", "", nil).Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	for _, bad := range doc.check(schema{Ref: "#/components/schemas/Problem"}, p, "problem") {
		t.Error(bad)
	}
}

// What is answered when rules are wrong, or were changed meanwhile, is in the document
// too; what may be missing is null there or what it is.
func TestDocumentMatchesRefusals(t *testing.T) {
	b := newBench(t, nil)
	var doc document
	if err := json.Unmarshal(b.call("GET", Prefix+"/openapi.json", "", nil).Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	update := asks["rule_update"]
	for _, c := range []struct {
		method, path, body string
		code               int
		current            bool
	}{
		{"PUT", update[0], update[1], http.StatusOK, false},
		{"PUT", update[0], strings.Replace(update[1], "6h", "7h", 1), http.StatusConflict, true},
		{"POST", "/rules", `{"yaml":"id: x"}`, http.StatusUnprocessableEntity, false},
		{"POST", "/rules", `{"yaml":1}`, http.StatusBadRequest, false}, // a Problem
	} {
		w := b.call(c.method, Prefix+c.path, c.body, nil)
		if w.Code != c.code {
			t.Fatalf("%s %s: %d %s, want %d", c.method, c.path, w.Code, w.Body, c.code)
		}
		if c.code == http.StatusOK {
			continue
		}
		var v map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if (v["current"] != nil) != c.current {
			t.Errorf("%s %s: current is %v", c.method, c.path, v["current"])
		}
		path := strings.Replace(c.path, "nic-link-lost", "{id}", 1)
		responses := doc.Paths[path][strings.ToLower(c.method)].Responses
		for _, status := range []string{"400", "default"} {
			for _, bad := range doc.check(responses[status].Content["application/json"].Schema, any(v), path+" "+status) {
				t.Error(bad)
			}
		}
	}
}

// check returns what does not fit.
func (doc *document) check(s schema, v any, at string) []string {
	if s.Ref != "" {
		target, ok := doc.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
		if !ok {
			return []string{at + ": no schema " + s.Ref}
		}
		s = target
	}
	if s.AnyOf != nil {
		var all []string
		for _, one := range s.AnyOf {
			bad := doc.check(one, v, at)
			if len(bad) == 0 {
				return nil
			}
			all = append(all, bad...)
		}
		return all
	}
	if bad := checkType(s, v, at); bad != "" {
		return []string{bad}
	}
	var out []string
	switch v := v.(type) {
	case string:
		if s.Enum != nil && !slices.Contains(s.Enum, v) {
			out = append(out, fmt.Sprintf("%s: %q is not in the closed set %q", at, v, s.Enum))
		}
	case []any:
		for _, e := range v {
			out = append(out, doc.check(*s.Items, e, at+"[]")...)
		}
	case map[string]any:
		if s.Additional != false {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			p, ok := s.Properties[name]
			if !ok {
				out = append(out, at+"."+name+" is answered and not in the document")
				continue
			}
			out = append(out, doc.check(p, v[name], at+"."+name)...)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(slices.Values(s.Required))) {
			out = append(out, at+": a property of the answer is not required")
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				out = append(out, at+"."+name+" is in the document and not answered")
			}
		}
	}
	return slices.Compact(out)
}

func checkType(s schema, v any, at string) string {
	var types []string
	switch t := s.Type.(type) {
	case string:
		types = []string{t}
	case []any:
		for _, e := range t {
			types = append(types, fmt.Sprint(e))
		}
	}
	got := "null"
	switch v := v.(type) {
	case string:
		got = "string"
	case bool:
		got = "boolean"
	case float64:
		got = "number"
		if v == float64(int64(v)) && slices.Contains(types, "integer") {
			got = "integer"
		}
	case []any:
		got = "array"
	case map[string]any:
		got = "object"
	}
	if !slices.Contains(types, got) {
		return fmt.Sprintf("%s is a %s, the document says %v", at, got, types)
	}
	return ""
}

// inOrder puts what undoes behind what does.
func inOrder(paths []string) []string {
	undoes := func(p string) int {
		if strings.Contains(p, "/un") {
			return 1
		}
		return 0
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(undoes(a)-undoes(b), strings.Compare(a, b)) })
	return paths
}
