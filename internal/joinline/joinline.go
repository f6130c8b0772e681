// Package joinline writes the one line that a person pastes on a new server to
// make it join the fleet, for Windows and for Linux. The page's "add a server"
// and `nocturne token create` print the same text from here.
//
// Everything but New is pure; all of it is safe for concurrent use.
// To test: go test ./internal/joinline.
package joinline

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"nocturne/internal/trust"
)

// Bridge is what the eventbridge says of its addresses in GET /admin/v1/status.
type Bridge struct {
	IngestURL     string `json:"ingest_url"` // for servers on its own machine
	ListenURL     string `json:"listen_url"` // for servers on the network; "" = nobody listens
	CAFingerprint string `json:"ca_fingerprint"`
}

// New makes an invite from what the bridge says. Where the bridge listens on
// all addresses it takes one of this machine's: the one that packets to other
// networks leave from, if there is such a way.
func New(b Bridge, token string) Invite {
	if b.ListenURL == "" {
		return Invite{URL: b.IngestURL, Token: token}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		addrs = nil // Lines then says that the host is missing
	}
	return Invite{URL: reachable(b.ListenURL, outward(), addrs), CAFingerprint: b.CAFingerprint, Token: token}
}

// At returns the invite with another host in its URL: the name or the address
// by which the newcomers reach this machine.
func (i Invite) At(host string) (Invite, error) {
	if i.CAFingerprint == "" {
		return i, errors.New("the eventbridge listens on this machine only: start it with --listen 0.0.0.0:9471 added")
	}
	u, err := url.Parse(i.URL)
	if err != nil {
		return i, fmt.Errorf("eventbridge URL: %w", err)
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if bare == "" || strings.ContainsAny(bare, "/@?#[] ") || net.ParseIP(bare) == nil && strings.Contains(bare, ":") {
		return i, fmt.Errorf("address %.80q: want a host name or an IP address, without a port", host)
	}
	u.Host = net.JoinHostPort(bare, u.Port())
	i.URL = u.String()
	return i, nil
}

// outward is the source address of this machine's default route, nil without
// one. Connecting a UDP socket chooses it and sends nothing; 192.0.2.0/24 is
// for documentation, so no other route leads there.
func outward() net.IP {
	c, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }() // nothing was sent
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.IP
	}
	return nil
}

// reachable puts an address of this machine in the place of "all addresses":
// that of the default route, else the first private IPv4 one, else the first
// that others can reach. A private address alone says little: the bridge of a
// container engine has one.
func reachable(listen string, route net.IP, addrs []net.Addr) string {
	u, err := url.Parse(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "" && (ip == nil || !ip.IsUnspecified()) {
		return listen
	}
	best, bestRank := "", 0
	if route.IsGlobalUnicast() {
		best, addrs = route.String(), nil
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		rank := 1
		if n.IP.To4() != nil {
			rank++
			if n.IP.IsPrivate() {
				rank++
			}
		}
		if rank > bestRank {
			best, bestRank = n.IP.String(), rank
		}
	}
	if best == "" {
		return listen
	}
	u.Host = net.JoinHostPort(best, u.Port())
	return u.String()
}

// Invite is what a newcomer needs to know.
type Invite struct {
	// URL is where the eventbridge takes records: https://HOST:9471, or
	// http:// on loopback.
	URL string
	// CAFingerprint is the SHA-256 of the CA certificate (DER), in
	// hexadecimal; needed with https.
	CAFingerprint string
	// Token is the join token. It is a secret until it is used up or expires.
	Token string
}

// Lines are the texts to paste: for a POSIX shell on Linux, for PowerShell 5.1
// and later, which knows no &&, on Windows.
type Lines struct {
	// LinuxPackage and WindowsPackage install the package, a deb or an MSI,
	// that lies in the folder where the line is pasted.
	LinuxPackage, WindowsPackage string
	// Linux and Windows make a service of the program alone that lies there.
	Linux, Windows string
	// Note says what a person must know before pasting; "" = nothing.
	Note string
}

// NoListener is the note where the bridge listens on loopback only.
const NoListener = "The eventbridge listens on this machine only, so the lines work here and nowhere else. " +
	"To let other servers join, stop Nocturne and start it again the same way with --listen 0.0.0.0:9471 added."

// copyFirst is the note for lines that work elsewhere.
const copyFirst = "Copy the exporter to the server first, and paste the line in that folder, in a shell with administrator's rights. " +
	"Where Nocturne is built, `make package` makes an MSI, a deb and an rpm in bin/packages; `make windows` makes the program alone for Windows in bin/windows, and bin has it for Linux. " +
	"The token is a secret: it joins a server until it is used up or expires."

// Lines returns the lines to paste, or why the invite cannot work.
func (i Invite) Lines() (Lines, error) {
	u, err := url.Parse(i.URL)
	if err != nil || u.Host == "" {
		return Lines{}, fmt.Errorf("eventbridge URL %.80q: want https://HOST:PORT", i.URL)
	}
	if i.Token == "" {
		return Lines{}, fmt.Errorf("join token: none given")
	}
	args := [][2]string{{"server", i.URL}}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "" || ip != nil && ip.IsUnspecified() {
		return Lines{}, fmt.Errorf("eventbridge URL %.80q: no host that others can reach, listen on one address of this machine", i.URL)
	}
	local := trust.Loopback(u.Hostname())
	switch u.Scheme {
	case "https":
		fp := strings.ToLower(strings.ReplaceAll(i.CAFingerprint, ":", ""))
		if b, err := hex.DecodeString(fp); err != nil || len(b) != 32 {
			return Lines{}, fmt.Errorf("ca fingerprint %.80q: want the SHA-256 of the CA certificate, 64 hexadecimal digits", i.CAFingerprint)
		}
		args = append(args, [2]string{"ca-fingerprint", fp})
	case "http":
		if !local {
			return Lines{}, fmt.Errorf("eventbridge URL %.80q: plain http is for loopback only, use https", i.URL)
		}
	default:
		return Lines{}, fmt.Errorf("eventbridge URL %.80q: want https://HOST:PORT", i.URL)
	}
	args = append(args, [2]string{"token", i.Token})
	out := Lines{
		LinuxPackage:   "sudo apt install ./nocturne-exporter_*_amd64.deb && sudo nocturne-exporter enrol",
		WindowsPackage: `msiexec /i (Get-Item .\nocturne-exporter-*-x64.msi) /qn`,
		Linux:          "sudo ./exporter enrol", Windows: `.\exporter.exe enrol`, Note: copyFirst,
	}
	for _, a := range args {
		out.LinuxPackage += " --" + a[0] + " " + quoteShell(a[1])
		out.WindowsPackage += " " + quotePowerShell(strings.ToUpper(strings.ReplaceAll(a[0], "-", ""))+"="+a[1])
		out.Linux += " --" + a[0] + " " + quoteShell(a[1])
		out.Windows += " --" + a[0] + " " + quotePowerShell(a[1])
	}
	out.Linux += " && sudo ./exporter install && sudo ./exporter start"
	out.Windows += `; if ($?) { .\exporter.exe install; .\exporter.exe start }`
	if local {
		out.Note = NoListener
	}
	return out, nil
}

// plain are the characters that no shell gives a meaning to.
func plain(s string) bool {
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.ContainsRune("-_./:=", c):
		default:
			return false
		}
	}
	return s != ""
}

func quoteShell(s string) string {
	if plain(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quotePowerShell doubles every character that PowerShell takes for a single
// quote (about_Quoting_Rules: the typographic ones count too).
func quotePowerShell(s string) string {
	if plain(s) && !strings.HasPrefix(s, "-") {
		return s
	}
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range s {
		b.WriteRune(c)
		if strings.ContainsRune("'‘’‚‛", c) {
			b.WriteRune(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
