// Package password makes and checks the hashes of people's passwords, and says
// which passwords are taken.
//
// A hash is argon2id in the PHC string format, with its own parameters and salt:
// $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH. New ones are made by Default; those
// with other parameters go on being checked. One hash takes 64 MiB and some
// tenths of a second, so at most one is computed at a time in the whole program.
//
// Everything is safe for concurrent use. To test: go test ./ruler/password.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Params are what argon2id is computed with.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// Default is the second recommended option of RFC 9106, section 4 (64 MiB, 3
// passes, 4 lanes), for where 2 GiB are too much. It is above what OWASP's
// Password Storage Cheat Sheet asks for at least (19 MiB, 2 passes, 1 lane).
var Default = Params{Memory: 64 << 10, Time: 3, Threads: 4}

// Salt and tag as RFC 9106, section 4, recommends them.
const (
	saltBytes = 16
	hashBytes = 32
)

// Bounds of what a stored hash may ask of us.
const (
	maxPHC     = 256
	maxMemory  = 1 << 20 // KiB
	maxTime    = 64
	maxThreads = 32
)

// MinLength is in characters: NIST SP 800-63B asks for length and against rules
// of composition. MaxBytes bounds the work.
const (
	MinLength = 12
	MaxBytes  = 1024
)

// ErrWrong means that the password is not the one of the hash.
var ErrWrong = errors.New("wrong password")

// errHash is wrapped where a hash cannot be read.
var errHash = errors.New("not an argon2id hash")

// Check says why a password is not taken; name is whose it is.
func Check(password, name string) error {
	switch {
	case len(password) > MaxBytes:
		return fmt.Errorf("it is too long: at most %d bytes", MaxBytes)
	case !utf8.ValidString(password):
		return errors.New("it is not text")
	case utf8.RuneCountInString(password) < MinLength:
		return fmt.Errorf("it is too short: at least %d characters, of any kind", MinLength)
	case strings.Trim(password, password[:1]) == "":
		return errors.New("it is one character over and over: several words are easy to keep in mind")
	case strings.EqualFold(password, name):
		return errors.New("it is the name")
	}
	return nil
}

// busy is taken by whoever computes.
var busy = make(chan struct{}, 1)

// Hash makes the hash of a password. It waits for its turn; ctx ends the waiting.
func Hash(ctx context.Context, p Params, password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	sum, err := compute(ctx, p, password, salt, hashBytes)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Time, p.Threads, b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// Verify compares a password with a hash: nil, ErrWrong, or why it cannot be told.
// Without a hash it computes as long as it would with one, and says ErrWrong: so
// nobody learns from the time which names there are.
func Verify(ctx context.Context, phc, password string) error {
	p, salt, want := Default, make([]byte, saltBytes), make([]byte, hashBytes)
	if phc != "" {
		var err error
		if p, salt, want, err = parse(phc); err != nil {
			return err
		}
	}
	if len(password) > MaxBytes {
		return ErrWrong
	}
	got, err := compute(ctx, p, password, salt, len(want))
	switch {
	case err != nil:
		return err
	case subtle.ConstantTimeCompare(got, want) != 1 || phc == "":
		return ErrWrong
	}
	return nil
}

func compute(ctx context.Context, p Params, password string, salt []byte, length int) ([]byte, error) {
	select {
	case busy <- struct{}{}:
		defer func() { <-busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, uint32(length)), nil //nolint:gosec // bounded by parse
}

// parse reads a PHC string strictly.
func parse(phc string) (p Params, salt, hash []byte, err error) {
	fail := func(what string) (Params, []byte, []byte, error) {
		return Params{}, nil, nil, fmt.Errorf("read password hash: %s: %w", what, errHash)
	}
	if len(phc) > maxPHC {
		return fail("too long")
	}
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return fail("form")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return fail("version")
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return fail("parameters")
	}
	var n [3]uint64
	for i, want := range []struct {
		name string
		max  uint64
	}{{"m", maxMemory}, {"t", maxTime}, {"p", maxThreads}} {
		name, value, _ := strings.Cut(params[i], "=")
		if n[i], err = strconv.ParseUint(value, 10, 32); err != nil || name != want.name || n[i] < 1 || n[i] > want.max {
			return fail("parameter " + want.name)
		}
	}
	p = Params{Memory: uint32(n[0]), Time: uint32(n[1]), Threads: uint8(n[2])} //nolint:gosec // bounded above
	b64 := base64.RawStdEncoding.Strict()
	if salt, err = b64.DecodeString(parts[4]); err != nil || len(salt) < 8 || len(salt) > 64 {
		return fail("salt")
	}
	if hash, err = b64.DecodeString(parts[5]); err != nil || len(hash) < 16 || len(hash) > 64 {
		return fail("hash")
	}
	return p, salt, hash, nil
}
