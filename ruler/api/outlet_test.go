package api

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A stream lasts while nothing is said, over HTTP/2 too: there a deadline ends
// it whether or not something is being written.
func TestQuietStreamLasts(t *testing.T) {
	for name, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quietStream(t, two)
		})
	}
}

func quietStream(t *testing.T, two bool) {
	const within = 2 * time.Second // more than a busy machine takes for a write
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := &outlet{w: w, rc: http.NewResponseController(w), within: within}
		o.begin()
		o.write(": first\n")
		select {
		case <-time.After(within + within/4):
		case <-r.Context().Done():
		}
		o.write(": last\n")
	}))
	s.EnableHTTP2 = two
	s.StartTLS()
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		got = append(got, lines.Text())
	}
	if lines.Err() != nil || len(got) != 2 || (res.ProtoMajor == 2) != two {
		t.Errorf("%s: %q, %v", res.Proto, got, lines.Err())
	}
	res.Body.Close()
	s.Close()
}
