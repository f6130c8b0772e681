package record

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// keyIDChars is the length of a key id: server id, dot, 16 digits.
const keyIDChars = 32 + 1 + 16

// KeyID names the key with which a server signs its frames: the id that its
// credential was issued for, and a fingerprint of the key that tells the keys
// of one server apart and says nothing about them.
//
// The key is the SHA-256 of the credential's secret: what the register of
// servers holds. Whoever can read the register can therefore sign for a server,
// as he could give himself a credential there.
func KeyID(server ID, key []byte) string {
	sum := sha256.Sum256(append([]byte("nocturne key id\x00"), key...))
	return server.String() + "." + hex.EncodeToString(sum[:8])
}

// KeyOwner returns the server in a key id.
func KeyOwner(keyID string) (ID, error) {
	server, fingerprint, ok := strings.Cut(keyID, ".")
	id, err := ParseID(server)
	if !ok || err != nil || len(keyID) != keyIDChars || strings.Trim(fingerprint, hexDigits) != "" {
		return ID{}, fmt.Errorf("key id %.80q: want <server id>.<16 hexadecimal digits>", keyID)
	}
	return id, nil
}
