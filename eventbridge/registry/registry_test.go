package registry

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream/streamtest"
)

// What a machine says of where it belongs is announced as its claim; its labels
// are those of its token.
func TestReportedLabelsAreNoLabels(t *testing.T) {
	r, a, _, _ := start(t, Config{})
	text := token(t, r, TokenRequest{Labels: Labels{Site: "hq"}})
	got, err := r.Enrol(t.Context(), "10.0.0.1:1", EnrolRequest{Token: text, Name: "db8", Evidence: machine, Reported: Place{Site: "elsewhere\n", Owner: "me"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Labels != (Place{Site: "hq"}) {
		t.Errorf("labels %+v", got.Labels)
	}
	_, rec := a.about(got.ServerID)
	for key, want := range map[string]string{record.AttrSite: "hq", record.AttrOwner: "", record.AttrReportedSite: "elsewhere", record.AttrReportedOwner: "me"} {
		if v := rec.Attr(key).Text(); v != want {
			t.Errorf("attribute %s = %q, want %q", key, v, want)
		}
	}
}

func TestEnrolAndAuthenticate(t *testing.T) {
	r, a, _, kv := start(t, Config{})
	text := token(t, r, TokenRequest{Labels: Labels{Site: "hq", Rack: "r1", Role: "db", Owner: "ops"}})
	got := enrol(t, r, text, "db7", machine)
	if got.Server != "db7" || got.Labels.Site != "hq" || got.ServerID.IsZero() {
		t.Errorf("answer %+v", got)
	}
	names, rec := a.about(got.ServerID)
	if len(names) != 1 || names[0] != record.NameEnrolled {
		t.Fatalf("records before the answer: %v", names)
	}
	for key, want := range map[string]string{
		record.AttrServer: "db7", record.AttrSite: "hq", record.AttrRack: "r1", record.AttrRole: "db", record.AttrOwner: "ops", record.AttrSimulated: "false",
		record.AttrMachineID: machine.MachineID, record.AttrSMBIOSUUID: machine.SMBIOSUUID, attrSerial: machine.Serial, record.AttrOSName: "linux", record.AttrOSType: "", attrState: "active",
	} {
		if v := rec.Attr(key).Text(); v != want {
			t.Errorf("attribute %s = %q, want %q", key, v, want)
		}
	}
	if f := a.frames[0]; f.Producer != "bridge/b1/registry" || f.Category != record.Agent || f.First != 1 {
		t.Errorf("header %+v", f.Header)
	}
	p, err := auth(t, r, got.Credential)
	if err != nil || p.Server.ID != got.ServerID || !p.SpeaksFor(got.ServerID) || p.SpeaksFor(newID()) {
		t.Errorf("principal %+v, %v", p, err)
	}
	if v := rec.Attr(record.AttrReportedSite); !v.IsNull() {
		t.Errorf("nothing was reported, and site is %q", v.Text())
	}
	// The secret is nowhere in what is kept.
	e, err := kv.Get(t.Context(), serverKey+got.ServerID.String())
	if err != nil {
		t.Fatal(err)
	}
	secret := got.Credential[strings.LastIndexByte(got.Credential, '.')+1:]
	if strings.Contains(string(e.Value()), secret) {
		t.Error("the bucket holds the secret")
	}
	if s, _ := r.Server(got.ServerID); len(s.Owed) != 0 || s.Announced.Incarnation != "first" {
		t.Errorf("still owed after the answer: %+v", s)
	}

	for name, c := range map[string]struct {
		header string
		want   Reason
		status int
	}{
		"nothing":        {"", ReasonMissing, http.StatusUnauthorized},
		"basic":          {"Basic Zm9vOmJhcg==", ReasonMalformed, http.StatusUnauthorized},
		"join token":     {"Bearer " + text, ReasonMalformed, http.StatusUnauthorized},
		"garbage":        {"Bearer noc1.x.y", ReasonMalformed, http.StatusUnauthorized},
		"short secret":   {"Bearer " + got.Credential[:len(got.Credential)-1], ReasonMalformed, http.StatusUnauthorized},
		"wrong secret":   {"Bearer " + credentialPrefix + got.ServerID.String() + "." + newSecret(), ReasonWrongSecret, http.StatusUnauthorized},
		"unknown server": {"Bearer " + credentialPrefix + newID().String() + "." + secret, ReasonUnknown, http.StatusUnauthorized},
	} {
		_, err := r.Authenticate(t.Context(), c.header)
		var d *Denied
		if !errors.As(err, &d) || d.Reason != c.want || d.Status != c.status || d.Text == "" || d.Hint == "" {
			t.Errorf("%s: %+v, want %s", name, err, c.want)
		}
	}
}

func TestTokensRefuse(t *testing.T) {
	r, a, c, _ := start(t, Config{})
	good := token(t, r, TokenRequest{Uses: 3, TTLS: 3600})
	once := token(t, r, TokenRequest{})
	enrol(t, r, once, "first", Evidence{})
	revoked := token(t, r, TokenRequest{})
	if _, err := r.RevokeToken(t.Context(), revoked[len(tokenPrefix):len(tokenPrefix)+tokenIDChars]); err != nil {
		t.Fatal(err)
	}
	short := token(t, r, TokenRequest{TTLS: 60})
	c.add(61 * time.Second)
	before := len(a.frames)
	cases := []struct {
		name string
		q    EnrolRequest
		want Reason
	}{
		{"no token", EnrolRequest{Name: "x"}, ReasonMalformed},
		{"a credential", EnrolRequest{Name: "x", Token: "noc1." + newID().String() + "." + newSecret()}, ReasonMalformed},
		{"unknown", EnrolRequest{Name: "x", Token: tokenPrefix + "0123456789ab." + newSecret()}, ReasonUnknown},
		{"wrong secret", EnrolRequest{Name: "x", Token: good[:len(tokenPrefix)+tokenIDChars+1] + newSecret()}, ReasonWrongSecret},
		{"revoked", EnrolRequest{Name: "x", Token: revoked}, ReasonRevoked},
		{"expired", EnrolRequest{Name: "x", Token: short}, ReasonExpired},
		{"used up", EnrolRequest{Name: "another", Token: once}, ReasonUsedUp},
		{"no name", EnrolRequest{Name: "  ", Token: good}, ReasonBadRequest},
		{"control characters", EnrolRequest{Name: "a\nb", Token: good}, ReasonBadRequest},
		{"long name", EnrolRequest{Name: strings.Repeat("n", 300), Token: good}, ReasonBadRequest},
		{"not UTF-8", EnrolRequest{Name: "x\xff", Token: good}, ReasonBadRequest},
	}
	for i, tc := range cases {
		// Each from an address of its own, so that none is rate limited.
		_, err := r.Enrol(t.Context(), "[2001:db8:"+string(rune('a'+i))+"::1]:1", tc.q)
		var d *Denied
		if !errors.As(err, &d) || d.Reason != tc.want || d.Hint == "" {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
	if len(a.frames) != before {
		t.Error("a refused enrolment left a record")
	}
	if n := r.Totals(); n.Servers[Active] != 1 || n.Tokens != 1 {
		t.Errorf("totals %+v", n)
	}
}

func TestEvidenceIsCleaned(t *testing.T) {
	r, _, _, _ := start(t, Config{})
	got := enrol(t, r, token(t, r, TokenRequest{}), "x", Evidence{Serial: " S\x00N\x1b[1m1\xff\n ", SMBIOSUUID: strings.Repeat("ü", 100)})
	s, err := r.Server(got.ServerID)
	if err != nil || s.Evidence.Serial != "SN[1m1" || len(s.Evidence.SMBIOSUUID) != maxLabel {
		t.Errorf("%q, %v", s.Evidence, err)
	}
}

func TestCreateTokenRefuses(t *testing.T) {
	r, _, _, _ := start(t, Config{})
	for name, q := range map[string]TokenRequest{
		"uses":  {Uses: MaxUses + 1},
		"minus": {Uses: -1},
		"ttl":   {TTLS: int(MaxTTL/time.Second) + 1},
		"label": {Labels: Labels{Site: strings.Repeat("x", 129)}},
		"space": {Labels: Labels{Rack: " r1"}},
	} {
		if _, _, err := r.CreateToken(t.Context(), q); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := r.RevokeToken(t.Context(), "../server"); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoke nonsense: %v", err)
	}
}

// Two bridges share a token of ten uses; forty servers try.
func TestTwoBridgesCannotOverspend(t *testing.T) {
	r1, a, c, kv := start(t, Config{})
	r2 := open(t, Options{BridgeID: "b2", KV: kv, Append: a, Now: c.Now})
	text := token(t, r1, TokenRequest{Uses: 10})
	var mu sync.Mutex
	ids := map[record.ID]bool{}
	usedUp := 0
	var wg sync.WaitGroup
	for i := range 40 {
		r := r1
		if i%2 == 1 {
			r = r2
		}
		wg.Go(func() {
			name := "s" + string(rune('A'+i))
			for {
				got, err := r.Enrol(t.Context(), "[2001:db8:0:"+string("0123456789abcdef"[i%16])+"::1]:1", EnrolRequest{Token: text, Name: name})
				if denied(err) == ReasonBusy {
					continue // the bridges collided too often: it asks again
				}
				mu.Lock()
				if err == nil {
					ids[got.ServerID] = true
				} else if denied(err) == ReasonUsedUp {
					usedUp++
				} else {
					t.Errorf("%s: %v", name, err)
				}
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	if len(ids) != 10 || usedUp != 30 {
		t.Errorf("%d servers and %d refused, want 10 and 30", len(ids), usedUp)
	}
}

// The answer to an enrolment is lost and asked for again: one server, one use,
// one living credential.
func TestLostAnswer(t *testing.T) {
	r, a, c, _ := start(t, Config{})
	text := token(t, r, TokenRequest{})
	first := enrol(t, r, text, "db7", machine)
	second := enrol(t, r, text, "db7", machine)
	if first.ServerID != second.ServerID || first.Credential == second.Credential {
		t.Fatalf("got %v and %v", first, second)
	}
	if _, err := auth(t, r, first.Credential); denied(err) != ReasonRevoked {
		t.Errorf("first credential: %v", err)
	}
	if _, err := auth(t, r, second.Credential); err != nil {
		t.Errorf("second credential: %v", err)
	}
	if names, _ := a.about(first.ServerID); len(names) != 1 {
		t.Errorf("records: %v", names)
	}
	// Another machine cannot use it, and once the server was heard nobody can.
	if _, err := r.Enrol(t.Context(), address, EnrolRequest{Token: text, Name: "db8", Evidence: machine}); denied(err) != ReasonUsedUp {
		t.Errorf("another name: %v", err)
	}
	r.Seen(first.ServerID, c.Now())
	if _, err := r.Enrol(t.Context(), address, EnrolRequest{Token: text, Name: "db7", Evidence: machine}); denied(err) != ReasonUsedUp {
		t.Errorf("after it was heard: %v", err)
	}
}

// Killed between bucket and stream, the bridge appends the same record at its
// next start, and not a third time.
func TestOwedRecordsSurvive(t *testing.T) {
	for name, forget := range map[string]bool{"not appended": false, "appended, answer lost": true} {
		t.Run(name, func(t *testing.T) {
			r, a, c, kv := start(t, Config{})
			text := token(t, r, TokenRequest{})
			a.fail, a.forget = errors.New("no stream"), forget
			if _, err := r.Enrol(t.Context(), address, EnrolRequest{Token: text, Name: "db7", Evidence: machine}); denied(err) != ReasonBusy {
				t.Fatalf("enrol without a stream: %v", err)
			}
			if n := r.Totals(); n.Owed != 1 {
				t.Fatalf("owed %d", n.Owed)
			}
			a.fail = nil
			again := open(t, Options{BridgeID: "b1", KV: kv, Append: a, Now: c.Now})
			again.announceDue(t.Context(), true)
			again.announceDue(t.Context(), true)
			if n := again.Totals(); n.Owed != 0 {
				t.Errorf("owed after the start: %d", n.Owed)
			}
			ledger, fresh := record.NewLedger(), uint64(0)
			for i := range a.frames {
				for _, f := range ledger.Observe(&a.frames[i].Header).Fresh {
					fresh += f.Len()
				}
			}
			if fresh != 1 {
				t.Errorf("consumers step %d records of %d frames, want 1", fresh, len(a.frames))
			}
			// The exporter comes back for its answer.
			got := enrol(t, again, text, "db7", machine)
			if _, err := auth(t, again, got.Credential); err != nil {
				t.Error(err)
			}
			if names, _ := a.about(got.ServerID); len(names) == 0 || len(names) > 2 {
				t.Errorf("records %v", names)
			}
		})
	}
}

func TestRestate(t *testing.T) {
	r, a, c, _ := start(t, Config{})
	got := enrol(t, r, token(t, r, TokenRequest{}), "db7", machine)
	gone := enrol(t, r, token(t, r, TokenRequest{}), "old", Evidence{})
	if _, err := r.Decommission(t.Context(), gone.ServerID, ""); err != nil {
		t.Fatal(err)
	}
	r.announceDue(t.Context(), false)
	if names, _ := a.about(got.ServerID); len(names) != 1 {
		t.Errorf("stated again too early: %v", names)
	}
	c.add(25 * time.Hour)
	r.announceDue(t.Context(), false)
	if names, rec := a.about(got.ServerID); len(names) != 2 || names[1] != record.NameLabels || rec.Attr(record.AttrServer).Text() != "db7" {
		t.Errorf("after a day: %v", names)
	}
	a.incarnation = "second" // the volume was lost
	r.announceDue(t.Context(), false)
	if names, _ := a.about(got.ServerID); len(names) != 3 {
		t.Errorf("after the volume was lost: %v", names)
	}
	if names, _ := a.about(gone.ServerID); len(names) != 2 {
		t.Errorf("decommissioned server was stated again: %v", names)
	}
}

// A volume that is lost takes neither the servers nor their credentials.
func TestRestoreFromCopy(t *testing.T) {
	_, conn := streamtest.Server(t)
	a, c := &tape{incarnation: "first"}, &clock{now: time.Unix(1_800_000_000, 0)}
	cfg := DefaultConfig()
	cfg.Copy = filepath.Join(t.TempDir(), "registry.copy")
	r := open(t, Options{Config: cfg, BridgeID: "b1", KV: bucket(t, conn.JetStream(), "one"), Append: a, Now: c.Now})
	text := token(t, r, TokenRequest{Uses: 2})
	got := enrol(t, r, text, "db7", machine)
	if err := r.backup(); err != nil {
		t.Fatal(err)
	}
	a.incarnation = "second"
	again := open(t, Options{Config: cfg, BridgeID: "b1", KV: bucket(t, conn.JetStream(), "two"), Append: a, Now: c.Now})
	if _, err := auth(t, again, got.Credential); err != nil {
		t.Errorf("credential after the loss: %v", err)
	}
	again.announceDue(t.Context(), true)
	if names, _ := a.about(got.ServerID); len(names) != 2 {
		t.Errorf("not stated to the new stream: %v", names)
	}
	enrol(t, again, text, "db8", Evidence{})
	if _, err := again.Enrol(t.Context(), address, EnrolRequest{Token: text, Name: "db9"}); denied(err) != ReasonUsedUp {
		t.Errorf("the token came back with more uses: %v", err)
	}
}

// A bucket that was lost and made anew under a running bridge ends it.
func TestAnotherBucket(t *testing.T) {
	_, conn := streamtest.Server(t)
	a := &tape{incarnation: "first"}
	r := open(t, Options{BridgeID: "b1", KV: bucket(t, conn.JetStream(), Bucket), Append: a})
	if err := conn.JetStream().DeleteKeyValue(t.Context(), Bucket); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); !errors.Is(err, errAnotherBucket) {
		t.Errorf("run without a bucket: %v", err)
	}
	bucket(t, conn.JetStream(), Bucket)
	if err := r.Run(t.Context()); !errors.Is(err, errAnotherBucket) {
		t.Errorf("run: %v", err)
	}
}

// What one bridge changes another one knows, by its watcher or by asking.
func TestWatcher(t *testing.T) {
	r1, a, c, kv := start(t, Config{})
	r2 := open(t, Options{BridgeID: "b2", KV: kv, Append: a, Now: c.Now})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	text := token(t, r1, TokenRequest{})
	got := enrol(t, r1, text, "db7", machine)
	// Not running yet: it asks the bucket.
	if _, err := auth(t, r2, got.Credential); err != nil {
		t.Errorf("asked at once: %v", err)
	}
	go func() { done <- r2.Run(ctx) }()
	if _, err := r1.Revoke(t.Context(), got.ServerID, "kim"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, err := auth(t, r2, got.Credential)
		return denied(err) == ReasonRevoked
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatal("did not happen within a minute")
		}
		sleep(ctx, 5*time.Millisecond)
	}
}

func TestRateLimit(t *testing.T) {
	r, _, c, _ := start(t, Config{})
	good := token(t, r, TokenRequest{Uses: 100})
	bad := EnrolRequest{Name: "x", Token: tokenPrefix + "0123456789ab." + newSecret()}
	for i := range 10 {
		if _, err := r.Enrol(t.Context(), address, bad); denied(err) != ReasonUnknown {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if _, err := r.Enrol(t.Context(), "192.0.2.10:999", EnrolRequest{Name: "x", Token: good}); denied(err) != ReasonRateLimited {
		t.Errorf("same address, another port: %v", err)
	}
	if _, err := r.Enrol(t.Context(), "192.0.2.11:999", EnrolRequest{Name: "x", Token: good}); err != nil {
		t.Errorf("another address: %v", err)
	}
	c.add(7 * time.Second)
	if _, err := r.Enrol(t.Context(), address, EnrolRequest{Name: "y", Token: good}); err != nil {
		t.Errorf("a little later: %v", err)
	}
	for i := range 50 { // success costs nothing
		enrol(t, r, good, "z"+string(rune('A'+i)), Evidence{})
	}
}

func TestAddressesAreBounded(t *testing.T) {
	f := failures{perMinute: 1, byKey: map[netip.Prefix]*limiter{}}
	now := time.Unix(1, 0)
	for i := range 3 * maxAddresses {
		f.failed(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1).String(), now)
	}
	if len(f.byKey) > maxAddresses {
		t.Errorf("%d addresses kept", len(f.byKey))
	}
	if addressKey("[2001:db8::1]:5") != addressKey("[2001:db8::2]:6") || addressKey("[::ffff:192.0.2.1]:5") != addressKey("192.0.2.1:9") {
		t.Error("one machine has several keys")
	}
	addressKey("nonsense")
}
