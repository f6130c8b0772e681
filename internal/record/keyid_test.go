package record

import (
	"bytes"
	"strings"
	"testing"
)

func TestKeyID(t *testing.T) {
	id, key := ID{0xab, 15: 1}, bytes.Repeat([]byte{7}, 32)
	got := KeyID(id, key)
	// The format is on the wire: it never changes.
	if want := "ab000000000000000000000000000001.bc881035397e72ce"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if owner, err := KeyOwner(got); err != nil || owner != id {
		t.Errorf("owner %s, %v", owner, err)
	}
	if KeyID(id, key[1:]) == got || KeyID(ID{1}, key) == got {
		t.Error("two keys have one id")
	}
	for _, bad := range []string{"", ".", id.String(), id.String() + ".", got + "0", strings.Replace(got, ".", "-", 1), "zz" + got[2:], got[:len(got)-1] + "G"} {
		if _, err := KeyOwner(bad); err == nil {
			t.Errorf("%q is taken for a key id", bad)
		}
	}
}
