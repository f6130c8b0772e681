package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	for u, ok := range map[string]bool{
		"https://bridge:9471": true, "https://[2001:db8::1]:9471/prefix": true, "http://127.0.0.1:9470": true, "http://[::1]:9470": true, "http://localhost:9470": true,
		"http://bridge:9470": false, "http://10.0.0.1": false, "ftp://bridge": false, "bridge:9471": false, "": false, "https://": false,
		"https://user:pass@bridge": false, "https://bridge?x=1": false, "http://localhost.evil.org": false, "http://127.0.0.1.evil.org": false,
	} {
		if err := CheckURL(u); (err == nil) != ok {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestClientCertificateIsRead(t *testing.T) {
	missing := Trust{ClientCertFile: "nowhere.pem", ClientKeyFile: "nowhere.key"}
	if _, err := missing.TLS("https://bridge:9471"); err == nil || !strings.Contains(err.Error(), "client_cert_file") {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "nonsense.pem")
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Trust{ClientCertFile: path, ClientKeyFile: path}).TLS("https://bridge:9471"); err == nil {
		t.Error("nonsense is taken for a certificate")
	}
	for _, half := range []Trust{{ClientCertFile: path}, {ClientKeyFile: path}} {
		if err := half.Validate(); err == nil {
			t.Errorf("%+v is taken", half)
		}
	}
}
