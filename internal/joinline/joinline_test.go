package joinline

import (
	"net"
	"os/exec"
	"strings"
	"testing"
)

const fp = "3f1e0c6b8a9d7e5f4c3b2a190807060504030201fedcba98765432100a1b2c3d"

func TestLines(t *testing.T) {
	tests := []struct {
		name    string
		invite  Invite
		linux   string
		windows string
		deb     string // "" = not looked at
		msi     string
		note    string
		err     string
	}{
		{
			name:    "a server on the network",
			invite:  Invite{URL: "https://10.0.0.5:9471", CAFingerprint: fp, Token: "nocj.ab-c_9"},
			linux:   "sudo ./exporter enrol --server https://10.0.0.5:9471 --ca-fingerprint " + fp + " --token nocj.ab-c_9 && sudo ./exporter install && sudo ./exporter start",
			windows: `.\exporter.exe enrol --server https://10.0.0.5:9471 --ca-fingerprint ` + fp + ` --token nocj.ab-c_9; if ($?) { .\exporter.exe install; .\exporter.exe start }`,
			deb:     "sudo apt install ./nocturne-exporter_*_amd64.deb && sudo nocturne-exporter enrol --server https://10.0.0.5:9471 --ca-fingerprint " + fp + " --token nocj.ab-c_9",
			msi:     `msiexec /i (Get-Item .\nocturne-exporter-*-x64.msi) /qn SERVER=https://10.0.0.5:9471 CAFINGERPRINT=` + fp + ` TOKEN=nocj.ab-c_9`,
			note:    copyFirst,
		},
		{
			name:    "the fingerprint with colons, as openssl prints it",
			invite:  Invite{URL: "https://b:9471", CAFingerprint: strings.ToUpper(fp[:2]) + ":" + fp[2:], Token: "t"},
			linux:   "sudo ./exporter enrol --server https://b:9471 --ca-fingerprint " + fp + " --token t && sudo ./exporter install && sudo ./exporter start",
			windows: `.\exporter.exe enrol --server https://b:9471 --ca-fingerprint ` + fp + ` --token t; if ($?) { .\exporter.exe install; .\exporter.exe start }`,
			note:    copyFirst,
		},
		{
			name:    "loopback says how to listen",
			invite:  Invite{URL: "http://127.0.0.1:9470", Token: "t"},
			linux:   "sudo ./exporter enrol --server http://127.0.0.1:9470 --token t && sudo ./exporter install && sudo ./exporter start",
			windows: `.\exporter.exe enrol --server http://127.0.0.1:9470 --token t; if ($?) { .\exporter.exe install; .\exporter.exe start }`,
			note:    NoListener,
		},
		{
			name:    "IPv6 is quoted: brackets mean something to a shell",
			invite:  Invite{URL: "http://[::1]:9470", Token: "t"},
			linux:   "sudo ./exporter enrol --server 'http://[::1]:9470' --token t && sudo ./exporter install && sudo ./exporter start",
			msi:     `msiexec /i (Get-Item .\nocturne-exporter-*-x64.msi) /qn 'SERVER=http://[::1]:9470' TOKEN=t`,
			windows: `.\exporter.exe enrol --server 'http://[::1]:9470' --token t; if ($?) { .\exporter.exe install; .\exporter.exe start }`,
			note:    NoListener,
		},
		{name: "plain http on the network", invite: Invite{URL: "http://10.0.0.5:9470", Token: "t"}, err: "use https"},
		{name: "no fingerprint", invite: Invite{URL: "https://10.0.0.5:9471", Token: "t"}, err: "64 hexadecimal digits"},
		{name: "no token", invite: Invite{URL: "http://127.0.0.1:9470"}, err: "none given"},
		{name: "no host", invite: Invite{URL: "/x", Token: "t"}, err: "want https://HOST:PORT"},
		{name: "all addresses", invite: Invite{URL: "https://[::]:9471", CAFingerprint: fp, Token: "t"}, err: "listen on one address"},
		{name: "another scheme", invite: Invite{URL: "ftp://x", Token: "t"}, err: "want https://HOST:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.invite.Lines()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Linux != tt.linux || got.Windows != tt.windows || got.Note != tt.note {
				t.Errorf("got\n%+v\nwant\n%s\n%s\n%s", got, tt.linux, tt.windows, tt.note)
			}
			if tt.deb != "" && got.LinuxPackage != tt.deb || tt.msi != "" && got.WindowsPackage != tt.msi {
				t.Errorf("packages: got\n%s\n%s\nwant\n%s\n%s", got.LinuxPackage, got.WindowsPackage, tt.deb, tt.msi)
			}
		})
	}
}

// A token never reaches the shell as anything but one word.
func TestShellTakesTheTokenAsOneWord(t *testing.T) {
	for _, token := range []string{"a'b", `$(touch x) "; rm`, "a b", "`id`", "a\\b"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quoteShell(token)).Output()
		if err != nil {
			t.Skipf("no POSIX shell here: %v", err)
		}
		if string(out) != token {
			t.Errorf("the shell read %q as %q", token, out)
		}
	}
	if got, want := quotePowerShell("a’b'c"), "'a’’b''c'"; got != want {
		t.Errorf("quotePowerShell = %s, want %s", got, want)
	}
}

func TestAllAddressesBecomeOne(t *testing.T) {
	addrs := func(cidrs ...string) (out []net.Addr) {
		for _, c := range cidrs {
			ip, n, err := net.ParseCIDR(c)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return out
	}
	var route net.IP
	f := func(listen, want string, cidrs ...string) {
		t.Helper()
		if got := reachable(listen, route, addrs(cidrs...)); got != want {
			t.Errorf("reachable(%s, %v) = %s, want %s", listen, cidrs, got, want)
		}
	}
	all := []string{"127.0.0.1/8", "fe80::1/64", "2001:db8::5/64", "203.0.113.9/24", "10.1.2.3/16", "192.168.0.9/24"}
	f("https://10.0.0.5:9471", "https://10.0.0.5:9471", all...)      // one address is kept
	f("https://nocturne:9471", "https://nocturne:9471", all...)      // a name too
	f("https://0.0.0.0:9471", "https://10.1.2.3:9471", all...)       // private IPv4 first
	f("https://[::]:9471", "https://203.0.113.9:9471", all[:4]...)   // then any IPv4
	f("https://[::]:9471", "https://[2001:db8::5]:9471", all[:3]...) // then IPv6
	f("https://[::]:9471", "https://[::]:9471", all[:2]...)          // link-local and loopback lead nowhere

	// The address of the default route goes first: the other private one may be
	// that of a container engine's bridge.
	all = []string{"127.0.0.1/8", "172.17.0.1/16", "203.0.113.9/24"}
	route = net.IPv4(203, 0, 113, 9)
	f("https://0.0.0.0:9471", "https://203.0.113.9:9471", all...)
	f("https://10.0.0.5:9471", "https://10.0.0.5:9471", all...) // one address is still kept
	route = net.IPv4(127, 0, 0, 1)                              // leads nowhere
	f("https://0.0.0.0:9471", "https://172.17.0.1:9471", all...)
}

func TestAt(t *testing.T) {
	listening := Invite{URL: "https://10.0.0.5:9471", CAFingerprint: fp, Token: "t"}
	f := func(i Invite, host, want, wantErr string) {
		t.Helper()
		got, err := i.At(host)
		if wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), wantErr) {
				t.Errorf("At(%q): %v, want %q", host, err, wantErr)
			}
			return
		}
		if err != nil || got.URL != want || got.Token != "t" || got.CAFingerprint != fp {
			t.Errorf("At(%q) = %+v, %v, want %s", host, got, err, want)
		}
	}
	f(listening, "nocturne.example.org", "https://nocturne.example.org:9471", "")
	f(listening, "192.0.2.7", "https://192.0.2.7:9471", "")
	f(listening, "2001:db8::5", "https://[2001:db8::5]:9471", "")
	f(listening, "[2001:db8::5]", "https://[2001:db8::5]:9471", "")
	f(listening, "192.0.2.7:9471", "", "without a port")
	f(listening, "https://x", "", "want a host name")
	f(listening, "", "", "want a host name")
	f(Invite{URL: "http://127.0.0.1:9470", Token: "t"}, "192.0.2.7", "", "listens on this machine only")
}

func TestNewTakesTheLoopbackAddressWhereNobodyListens(t *testing.T) {
	i := New(Bridge{IngestURL: "http://127.0.0.1:9470", CAFingerprint: fp}, "t")
	if lines, err := i.Lines(); err != nil || lines.Note != NoListener {
		t.Errorf("lines %+v, %v", lines, err)
	}
	i = New(Bridge{IngestURL: "http://127.0.0.1:9470", ListenURL: "https://b:9471", CAFingerprint: fp}, "t")
	if i != (Invite{URL: "https://b:9471", CAFingerprint: fp, Token: "t"}) {
		t.Errorf("invite %+v", i)
	}
}
