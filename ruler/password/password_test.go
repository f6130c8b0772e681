package password

import (
	"context"
	"errors"
	"strings"
	"testing"
)

var cheap = Params{Memory: 64, Time: 1, Threads: 1}

func TestHashAndVerify(t *testing.T) {
	ctx := t.Context()
	a, err := Hash(ctx, cheap, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Hash(ctx, cheap, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Error("two hashes have one salt")
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hash %q", a)
	}
	if err := Verify(ctx, a, "correct horse battery"); err != nil {
		t.Errorf("the right one: %v", err)
	}
	for _, wrong := range []string{"", "correct horse batterz", strings.Repeat("a", MaxBytes+1)} {
		if err := Verify(ctx, a, wrong); !errors.Is(err, ErrWrong) {
			t.Errorf("%.20q: %v", wrong, err)
		}
	}
}

// RFC 9106 gives a vector with secret and data, which PHC strings do not hold;
// this one was made by the reference implementation (argon2 -id -k 65536 -t 2 -p 1).
func TestVerifyAnotherProgramsHash(t *testing.T) {
	phc := "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if err := Verify(t.Context(), phc, "password"); err != nil {
		t.Error(err)
	}
}

func TestNobodysPassword(t *testing.T) {
	if err := Verify(t.Context(), "", "whatever it is"); !errors.Is(err, ErrWrong) {
		t.Errorf("without a hash: %v", err)
	}
}

func TestWaitingEnds(t *testing.T) {
	busy <- struct{}{}
	defer func() { <-busy }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Hash(ctx, cheap, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("hash: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for in, want := range map[string]string{
		"correct horse": "", "äöüäöüäöüäöü": "", "123456789012": "", "short": "too short", "äöüäöüäöüäö": "too short", "": "too short",
		"aaaaaaaaaaaaaa": "over and over", "Administrator1": "the name", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff": "not text", strings.Repeat("ab", 513): "too long",
	} {
		err := Check(in, "administrator1")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", in, err, want)
		}
	}
}

// Whatever is stored is bounded and read strictly.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2id$v=19$m=1,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$2a$10$abcdefghijk",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, phc string) {
		p, salt, hash, err := parse(phc)
		if err != nil {
			if !errors.Is(err, errHash) {
				t.Errorf("%q: %v", phc, err)
			}
			return
		}
		if p.Memory < 1 || p.Memory > maxMemory || p.Time < 1 || p.Time > maxTime || p.Threads < 1 || p.Threads > maxThreads || len(salt) < 8 || len(hash) < 16 || len(hash) > 64 {
			t.Errorf("%q: %+v, salt %d, hash %d", phc, p, len(salt), len(hash))
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		if _, err := Hash(b.Context(), Default, "correct horse battery"); err != nil {
			b.Fatal(err)
		}
	}
}
