package store

import (
	"context"
	"time"
)

// User is a person who logs in to the console.
type User struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"` // unique, whatever its case
	Role      string    `json:"role"` // viewer editor admin
	Password  string    `json:"-"`    // PHC string; "" = none was chosen yet
	CreatedBy string    `json:"created_by"`
	Created   time.Time `json:"created"`
	Chosen    time.Time `json:"chosen,omitzero"` // when the password was
	Login     time.Time `json:"login,omitzero"`  // the last one
	// Invited is when the link ends that lets a person choose a password; zero =
	// there is none. Set by Users.
	Invited time.Time `json:"invited,omitzero"`
}

// LoginLink lets a person choose a password, once.
type LoginLink struct {
	Hash    [32]byte  `json:"-"`    // SHA-256 of the secret in it
	User    string    `json:"user"` // whose password; "" = it makes the first admin
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// Session is a browser in which a person is logged in.
type Session struct {
	Hash    [32]byte  `json:"-"` // SHA-256 of what the cookie holds
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"` // to a minute
	Expires time.Time `json:"expires"`
}

// UserStore keeps who may log in, and who is. What refuses writes nothing, and
// whatever changes a user ends his sessions.
type UserStore interface {
	// Users lists all by name.
	Users(ctx context.Context) ([]User, error)
	// UserByName finds one, whatever the case; ErrNotFound.
	UserByName(ctx context.Context, name string) (User, error)
	// AddUser adds one with the link by which he chooses a password; ErrConflict
	// when the name is taken.
	AddUser(ctx context.Context, u User, l LoginLink, e AuditEntry) error
	// SetRole gives a user another role. ErrNotFound, or a *ConflictError when
	// nobody would be left who is admin and has a password.
	SetRole(ctx context.Context, id, role string, e AuditEntry) (User, error)
	// RemoveUser forgets one, with his link. Errors as of SetRole.
	RemoveUser(ctx context.Context, id string, e AuditEntry) (User, error)
	// SetPassword sets one and begins the session in which that was done; open
	// links end. ErrNotFound.
	SetPassword(ctx context.Context, id, phc string, s Session, e AuditEntry) error

	// AddLink takes the place of the user's link before; ErrNotFound without the
	// user. One for the first admin is ErrConflict when somebody has a password.
	AddLink(ctx context.Context, l LoginLink, e AuditEntry) error
	// LinkByHash finds one that has not ended at a time, and whose it is: a user
	// without id where it is the first admin's. ErrNotFound.
	LinkByHash(ctx context.Context, h [32]byte, now time.Time) (LoginLink, User, error)
	// UseLink ends a link: it sets the user's password, or adds the first admin,
	// and begins a session. ErrNotFound as of LinkByHash; ErrConflict when the
	// first admin's name is taken.
	UseLink(ctx context.Context, h [32]byte, u User, s Session, e AuditEntry) error

	// AddSession begins one, and forgets those that have expired by then.
	AddSession(ctx context.Context, s Session, e AuditEntry) error
	// SessionByHash finds one, with its user; ErrNotFound. It may have expired.
	SessionByHash(ctx context.Context, h [32]byte) (Session, User, error)
	// SessionUsed notes when a session was used last.
	SessionUsed(ctx context.Context, h [32]byte, at time.Time) error
	// EndSession ends one; ending none is no error.
	EndSession(ctx context.Context, h [32]byte, e AuditEntry) error
}
