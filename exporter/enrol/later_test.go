package enrol

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const joinToken = "nocj1.the-join-token"

func line() Request { return Request{URL: "https://bridge:9471/", Token: joinToken, Name: "db7"} }

// enrolled leaves what Enrol leaves.
func enrolled(t *testing.T, dir string) {
	t.Helper()
	s := State{ServerID: testID, Server: "db7", URL: "https://bridge:9471", Credential: "noc1." + testID.String() + "." + secret}
	if err := s.save(dir, nil); err != nil {
		t.Fatal(err)
	}
}

func noToken(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, joinName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the token is still on disk: %v", err)
	}
}

// The bridge is down when the installer runs and comes back the next day.
func TestAwaitTriesUntilTheBridgeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		if err := Keep(dir, line()); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		began, tries := time.Now(), 0
		err := Await(t.Context(), dir, func(_ context.Context, r Request) error {
			tries++
			if want := (Request{URL: "https://bridge:9471", Token: joinToken, Name: "db7"}); r != want {
				t.Errorf("request %+v, want %+v", r, want)
			}
			if time.Since(began) < 24*time.Hour {
				return errors.New("connection refused")
			}
			enrolled(t, dir)
			return nil
		}, slog.New(slog.NewTextHandler(&said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		noToken(t, dir)
		if tries < 100 || tries > 1000 {
			t.Errorf("%d tries in a day", tries)
		}
		if took := time.Since(began); took > 24*time.Hour+10*time.Minute {
			t.Errorf("enrolled after %s", took)
		}
		text := said.String()
		if n := strings.Count(text, "connection refused"); n < 20 || n > 30 {
			t.Errorf("the same failure was said %d times in a day, want about once an hour", n)
		}
		if n := strings.Count(text, "is not enrolled"); n != 1 {
			t.Errorf("said %d times that it waits", n)
		}
		if strings.Contains(text, joinToken) {
			t.Errorf("the token is in the log: %s", text)
		}
	})
}

// A person enrols while the service waits with a token that is refused.
func TestAwaitSeesAPersonEnrol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		if err := Keep(dir, line()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { enrolled(t, dir) })
		began := time.Now()
		refuse := func(context.Context, Request) error { return errors.New("join token is used up (403)") }
		if err := Await(t.Context(), dir, refuse, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Minute+2*lookEvery {
			t.Errorf("seen after %s", took)
		}
		noToken(t, dir)
	})
}

// Another token is another chance, without the wait after the first.
func TestAwaitTakesAnotherTokenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		for _, damage := range []string{"", "{", `{"server":"https://bridge:9471"}`} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, joinName), []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			if r, err := kept(dir); r != nil || err == nil {
				t.Errorf("%q: %v, %v", damage, r, err)
			}
		}
		var changed time.Time
		time.AfterFunc(time.Hour, func() {
			changed = time.Now()
			next := line()
			next.Token = "nocj1.another"
			if err := Keep(dir, next); err != nil {
				t.Error(err)
			}
		})
		err := Await(t.Context(), dir, func(_ context.Context, r Request) error {
			if r.Token == joinToken {
				return errors.New("no")
			}
			enrolled(t, dir)
			return nil
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(changed); took > 2*lookEvery {
			t.Errorf("the other token was tried after %s", took)
		}
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := Await(ctx, filepath.Join(t.TempDir(), "none"), func(context.Context, Request) error {
			t.Error("asked without a token")
			return nil
		}, slog.New(slog.DiscardHandler))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestKeepChecks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	bad := line()
	bad.URL = "bridge:9471"
	if err := Keep(dir, bad); err == nil {
		t.Error("kept a request without a scheme")
	}
	bad = line()
	bad.CAFingerprint = "3f1e"
	if err := Keep(dir, bad); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
		t.Errorf("kept a short fingerprint: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was refused left a folder: %v", err)
	}
	enrolled(t, dir)
	if err := Keep(dir, line()); !errors.Is(err, ErrEnrolled) {
		t.Errorf("error %v, want %v", err, ErrEnrolled)
	}
	noToken(t, dir)
}
