package trust

import (
	"crypto/tls"
	"time"
)

// At is what is shown at a time.
func (s *Shown) At(now time.Time) *tls.Certificate { return s.certificate(now) }
