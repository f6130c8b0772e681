package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/record"
)

// Limits of join tokens.
const (
	MaxUses  = 100000
	MaxTTL   = 365 * 24 * time.Hour
	maxKept  = 256              // grants that a token remembers
	retryFor = 15 * time.Minute // how long a lost answer can be asked for again
)

// Token lets new servers join. The secret is not kept.
type Token struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash"` // SHA-256 of the secret, hexadecimal
	Labels  Labels    `json:"labels"`
	Uses    int       `json:"uses"` // how many servers may join with it
	Left    int       `json:"left"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Revoked bool      `json:"revoked,omitempty"`
	// Grants are the ids given away in the last minutes: an answer that was
	// lost on the way can be asked for again without another use.
	Grants []Grant `json:"grants,omitempty"`
}

// Grant is one use of a token.
type Grant struct {
	Server record.ID `json:"server"`
	Who    string    `json:"who"` // hash of name and evidence
	At     time.Time `json:"at"`
}

// TokenRequest asks for a join token.
type TokenRequest struct {
	Labels
	Uses int `json:"uses"`  // 0 = 1
	TTLS int `json:"ttl_s"` // 0 = a day
}

// CreateToken makes a join token and returns its text, which is not kept.
func (r *Registry) CreateToken(ctx context.Context, q TokenRequest) (string, *Token, error) {
	if q.Uses == 0 {
		q.Uses = 1
	}
	if q.TTLS == 0 {
		q.TTLS = 24 * 3600
	}
	if err := q.Labels.Validate(); err != nil {
		return "", nil, err
	}
	if q.Uses < 1 || q.Uses > MaxUses {
		return "", nil, fmt.Errorf("uses %d: want 1 to %d", q.Uses, MaxUses)
	}
	if q.TTLS < 1 || q.TTLS > int(MaxTTL/time.Second) {
		return "", nil, fmt.Errorf("ttl_s %d: want 1 to %d", q.TTLS, int(MaxTTL/time.Second))
	}
	id := make([]byte, tokenIDChars/2)
	_, _ = rand.Read(id) // never fails
	secret := newSecret()
	sum := sha256.Sum256([]byte(secret))
	now := r.now().UTC()
	t := &Token{
		ID: hex.EncodeToString(id), Hash: hex.EncodeToString(sum[:]), Labels: q.Labels, Uses: q.Uses, Left: q.Uses,
		Created: now, Expires: now.Add(time.Duration(q.TTLS) * time.Second),
	}
	rev, err := r.kv.Create(ctx, tokenKey+t.ID, encode(t))
	if err != nil {
		return "", nil, fmt.Errorf("write join token: %w: %w", ErrBusy, err)
	}
	r.putToken(t, rev)
	r.log.Info("join token created", "token", t.ID, "uses", t.Uses, "expires", t.Expires, "site", t.Labels.Site)
	return tokenPrefix + t.ID + "." + secret, t, nil
}

// RevokeToken ends a join token.
func (r *Registry) RevokeToken(ctx context.Context, id string) (*Token, error) {
	if b, err := hex.DecodeString(id); err != nil || len(b) != tokenIDChars/2 {
		return nil, fmt.Errorf("join token %.20q: %w", id, ErrNotFound)
	}
	t, err := r.updateToken(ctx, id, func(t *Token) error {
		t.Revoked = true
		return nil
	})
	if err == nil {
		r.log.Info("join token revoked", "token", t.ID)
	}
	return t, err
}

// spend takes one use of a token by compare-and-set and returns the server id
// that this use is for. Somebody with the same name and evidence gets the same
// id again for a while, unless that server has already been heard.
func (r *Registry) spend(ctx context.Context, id string, hash [sha256.Size]byte, who string) (*Token, record.ID, error) {
	var granted record.ID
	t, err := r.updateToken(ctx, id, func(t *Token) error {
		now := r.now()
		switch {
		case subtle.ConstantTimeCompare([]byte(t.Hash), []byte(hex.EncodeToString(hash[:]))) != 1:
			return tokenDenied(ReasonWrongSecret, "wrong join token", "copy the whole line again")
		case t.Revoked:
			return tokenDenied(ReasonRevoked, "this join token was revoked", newTokenHint)
		case !now.Before(t.Expires):
			return tokenDenied(ReasonExpired, "this join token expired at "+t.Expires.Format(time.RFC3339), newTokenHint)
		}
		t.Grants = slices.DeleteFunc(t.Grants, func(g Grant) bool { return now.Sub(g.At) > retryFor })
		for _, g := range t.Grants {
			if g.Who == who && r.LastSeen(g.Server).IsZero() {
				granted = g.Server
				return nil
			}
		}
		if t.Left <= 0 {
			return tokenDenied(ReasonUsedUp, fmt.Sprintf("this join token was used %d times, which is all it allows", t.Uses), newTokenHint)
		}
		t.Left--
		granted = newID()
		t.Grants = append(t.Grants, Grant{Server: granted, Who: who, At: now.UTC()})
		if n := len(t.Grants) - maxKept; n > 0 {
			t.Grants = slices.Delete(t.Grants, 0, n)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil, record.ID{}, tokenDenied(ReasonUnknown, "no such join token", newTokenHint)
	}
	return t, granted, err
}

const newTokenHint = "make a new one: nocturne token create"

func tokenDenied(reason Reason, text, hint string) *Denied {
	return &Denied{Reason: reason, Status: http.StatusForbidden, Text: text, Hint: hint}
}

func (r *Registry) updateToken(ctx context.Context, id string, mutate func(*Token) error) (*Token, error) {
	key := tokenKey + id
	defer r.lock(key)()
	for range casAttempts {
		e, err := r.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil, fmt.Errorf("join token %s: %w", id, ErrNotFound)
		} else if err != nil {
			return nil, fmt.Errorf("read join token %s: %w: %w", id, ErrBusy, err)
		}
		t := new(Token)
		if err := json.Unmarshal(e.Value(), t); err != nil {
			return nil, fmt.Errorf("read join token %s: %w", id, err)
		}
		if err := mutate(t); err != nil {
			return nil, err
		}
		rev, err := r.kv.Update(ctx, key, encode(t), e.Revision())
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			r.Metrics.conflicts.Inc()
			continue
		} else if err != nil {
			return nil, fmt.Errorf("write join token %s: %w: %w", id, ErrBusy, err)
		}
		r.putToken(t, rev)
		return t, nil
	}
	return nil, fmt.Errorf("write join token %s: %w: changed %d times meanwhile", id, ErrBusy, casAttempts)
}
