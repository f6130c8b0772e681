package store

import (
	"context"
	"errors"
	"time"
)

// ErrConflict: somebody else changed it meanwhile, or what must be unique is
// taken. Nothing was written.
var ErrConflict = errors.New("conflict")

// The kinds of tokens. A plugin's speaks for people, whom it names.
const (
	TokenPerson = "token"
	TokenPlugin = "plugin"
)

// Token lets a caller from elsewhere use the API. The token itself is nowhere.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"` // unique among those that are not revoked
	Kind      string    `json:"kind"` // TokenPerson or TokenPlugin
	Role      string    `json:"role"` // viewer editor admin
	Hash      [32]byte  `json:"-"`    // SHA-256 of the token
	CreatedBy string    `json:"created_by"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires,omitzero"`
	Used      time.Time `json:"used,omitzero"` // to a minute
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// TokenStore keeps who may call the API.
type TokenStore interface {
	// AddToken adds one and the line of the audit log; ErrConflict when a token
	// that is not revoked has its name.
	AddToken(ctx context.Context, t Token, e AuditEntry) error
	// RevokeToken ends one at the entry's time, by the entry's actor. ErrNotFound
	// when there is none, ErrConflict when it is revoked already.
	RevokeToken(ctx context.Context, id string, e AuditEntry) (Token, error)
	// TokenUsed notes when a token was used last.
	TokenUsed(ctx context.Context, id string, at time.Time) error
	// Tokens lists all, the newest first, revoked ones too.
	Tokens(ctx context.Context) ([]Token, error)
	// TokenByHash finds one, revoked ones too; ErrNotFound when unknown.
	TokenByHash(ctx context.Context, h [32]byte) (Token, error)
}
