package winlog

import (
	"errors"
	"testing"
)

// Under Wine the source must not touch wevtapi.dll, whose stubs end the process.
func TestOpenUnderWine(t *testing.T) {
	if wineVersion.Find() != nil {
		t.Skip("a real Windows: docs/windows-acceptance.md has the steps")
	}
	if err := New(Options{Config: DefaultConfig()}).Run(t.Context(), (&spool{}).emit); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want unsupported", err)
	}
}
