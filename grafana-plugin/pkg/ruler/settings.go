package ruler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Settings are what an administrator says on the settings page, or in a
// provisioning file. See docs/grafana.md.
type Settings struct {
	RulerURL   string // http://ruler.example.org:9480, with the path of a proxy if there is one
	ConsoleURL string // where people open the ruler's own page; only the front end uses it
	MetricsUID string // data sources that the pages link to
	LogsUID    string
	CACert     string // PEM; who may sign the ruler's certificate, instead of the system's list

	Token   string
	base    *url.URL // of RulerURL
	unknown []string // keys that mean nothing
}

// MaxSettings bounds what a settings page may send.
const MaxSettings = 256 << 10

var uid = regexp.MustCompile(`^[A-Za-z0-9_-]{0,40}$`)

// fields are what is known; TLS that is not verified is not among it.
func (s *Settings) fields() map[string]*string {
	return map[string]*string{"rulerUrl": &s.RulerURL, "consoleUrl": &s.ConsoleURL, "metricsUid": &s.MetricsUID, "logsUid": &s.LogsUID, "caCert": &s.CACert}
}

// ReadSettings says what to write instead where something does not do. An
// unknown key is no error, since Grafana keeps what older versions stored; the
// health check names it.
func ReadSettings(jsonData []byte, secure map[string]string) (Settings, *Problem) {
	var s Settings
	bad := func(hint, format string, args ...any) (Settings, *Problem) {
		return s, &Problem{http.StatusPreconditionFailed, fmt.Sprintf(format, args...), hint}
	}
	if len(jsonData) > MaxSettings {
		return bad("caCert holds the certificate of one authority, or of a few", "the settings are larger than %d KiB", MaxSettings>>10)
	}
	if len(bytes.TrimSpace(jsonData)) > 0 {
		// Key by key: encoding/json would take rulerurl for rulerUrl.
		var all map[string]json.RawMessage
		if err := json.Unmarshal(jsonData, &all); err != nil {
			return bad("write them anew on the settings page", "the settings cannot be read: %.200s", err)
		}
		fields := s.fields()
		for key, value := range all {
			field, known := fields[key]
			if !known {
				s.unknown = append(s.unknown, key)
			} else if err := json.Unmarshal(value, field); err != nil {
				return bad("write it anew on the settings page, as text", "the setting %s cannot be read: %.200s", key, err)
			}
		}
		slices.Sort(s.unknown)
	}
	s.RulerURL, s.ConsoleURL, s.Token = strings.TrimSpace(s.RulerURL), strings.TrimSpace(s.ConsoleURL), strings.TrimSpace(secure["token"])
	if s.RulerURL == "" {
		return bad("write the address of the ruler on the app's settings page, such as https://ruler.example.org:9480", "the app does not know where the ruler is")
	}
	var err error
	if s.base, err = address(s.RulerURL); err != nil {
		return bad("write one like https://ruler.example.org:9480", "rulerUrl: %s", err)
	}
	if s.ConsoleURL != "" {
		if _, err := address(s.ConsoleURL); err != nil {
			return bad("write one like https://nocturne.example.org, or leave it empty", "consoleUrl: %s", err)
		}
	}
	for _, u := range []struct{ key, value string }{{"metricsUid", s.MetricsUID}, {"logsUid", s.LogsUID}} {
		if !uid.MatchString(u.value) {
			return bad("choose the data source on the settings page, or write the uid that its address shows", "%s: %.80q is no uid of a data source", u.key, u.value)
		}
	}
	switch {
	case s.Token == "":
		return bad("make one with ruler tokens add -name grafana -kind plugin -role admin, and write it on the app's settings page", "the app has no token for the ruler")
	case strings.ContainsFunc(s.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return bad("copy the line that ruler tokens add printed, nothing else", "the token holds characters that no token has")
	}
	return s, nil
}

// address checks an address that a request is sent to, or a person.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "@") || err == nil && u.User != nil:
		// Not repeated: there may be a password in it.
		return nil, errors.New("the address holds a name or a password; the token belongs into its own field")
	case err != nil || strings.ContainsFunc(text, unicode.IsSpace):
		return nil, fmt.Errorf("%.80q is no address", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%.80q begins with neither http:// nor https://", text)
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%.80q names no host", text)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%.80q has something behind the path", text)
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/api/v1"):
		return nil, fmt.Errorf("%.80q ends with /api/v1, which is added to it", text)
	}
	if u.Path = strings.TrimRight(u.Path, "/"); u.Path != "" && !CleanPath(u.Path) {
		return nil, fmt.Errorf("%.80q has a path that is not clean", text)
	}
	u.RawPath = ""
	return u, nil
}

// SameOrigin says whether other settings name the same host; only then may
// they be tried with the saved token.
func (s Settings) SameOrigin(jsonData []byte) bool {
	o, _ := ReadSettings(jsonData, nil) // it has no token, and its address is read before that counts
	return s.base != nil && o.base != nil && o.base.Scheme == s.base.Scheme && strings.EqualFold(o.base.Host, s.base.Host)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Warnings are about settings that do, and should be others.
func (s Settings) Warnings() []string {
	var out []string
	if host := s.base.Hostname(); s.base.Scheme == "http" && !loopback(host) {
		out = append(out, "The token travels unencrypted: use https")
	}
	if len(s.unknown) > 0 {
		out = append(out, Clip("These settings mean nothing: "+strings.Join(s.unknown, ", ")))
	}
	return out
}

// CleanPath says whether a decoded path means the same to everyone who reads
// it on the way, a proxy in front of the ruler that decodes again included.
func CleanPath(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	lower := strings.ToLower(path)
	for _, bad := range []string{`\`, "%2e", "%2f", "%5c", "%25", "%00"} {
		if strings.Contains(lower, bad) {
			return false
		}
	}
	return !strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f })
}
