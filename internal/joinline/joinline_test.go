package joinline

import (
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
		note    string
		err     string
	}{
		{
			name:    "a server on the network",
			invite:  Invite{URL: "https://10.0.0.5:9471", CAFingerprint: fp, Token: "nocj.ab-c_9"},
			linux:   "sudo ./exporter enrol --server https://10.0.0.5:9471 --ca-fingerprint " + fp + " --token nocj.ab-c_9 && sudo ./exporter run",
			windows: `.\exporter.exe enrol --server https://10.0.0.5:9471 --ca-fingerprint ` + fp + ` --token nocj.ab-c_9; if ($?) { .\exporter.exe run }`,
			note:    copyFirst,
		},
		{
			name:    "the fingerprint with colons, as openssl prints it",
			invite:  Invite{URL: "https://b:9471", CAFingerprint: strings.ToUpper(fp[:2]) + ":" + fp[2:], Token: "t"},
			linux:   "sudo ./exporter enrol --server https://b:9471 --ca-fingerprint " + fp + " --token t && sudo ./exporter run",
			windows: `.\exporter.exe enrol --server https://b:9471 --ca-fingerprint ` + fp + ` --token t; if ($?) { .\exporter.exe run }`,
			note:    copyFirst,
		},
		{
			name:    "loopback says how to listen",
			invite:  Invite{URL: "http://127.0.0.1:9470", Token: "t"},
			linux:   "sudo ./exporter enrol --server http://127.0.0.1:9470 --token t && sudo ./exporter run",
			windows: `.\exporter.exe enrol --server http://127.0.0.1:9470 --token t; if ($?) { .\exporter.exe run }`,
			note:    NoListener,
		},
		{
			name:    "IPv6 is quoted: brackets mean something to a shell",
			invite:  Invite{URL: "http://[::1]:9470", Token: "t"},
			linux:   "sudo ./exporter enrol --server 'http://[::1]:9470' --token t && sudo ./exporter run",
			windows: `.\exporter.exe enrol --server 'http://[::1]:9470' --token t; if ($?) { .\exporter.exe run }`,
			note:    NoListener,
		},
		{name: "plain http on the network", invite: Invite{URL: "http://10.0.0.5:9470", Token: "t"}, err: "use https"},
		{name: "no fingerprint", invite: Invite{URL: "https://10.0.0.5:9471", Token: "t"}, err: "64 hexadecimal digits"},
		{name: "no token", invite: Invite{URL: "http://127.0.0.1:9470"}, err: "none given"},
		{name: "no host", invite: Invite{URL: "/x", Token: "t"}, err: "want https://HOST:PORT"},
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
