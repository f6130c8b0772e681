package stack

import (
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/trust"
	"nocturne/internal/trust/trusttest"
)

func TestPage(t *testing.T) {
	dir := t.TempDir()
	files := trusttest.Certificate(t, dir, "*.example.org", "nocturne.example.org")
	half := Page{Files: trust.Files{CertFile: files.CertFile}}
	for _, c := range []struct {
		page          Page
		wrong         string
		addr, here, u string
	}{
		{Page{}, "", "127.0.0.1:9480", "http://127.0.0.1:9480", "http://127.0.0.1:9480"},
		{Page{Listen: "127.0.0.1:9480"}, "", "127.0.0.1:9480", "http://127.0.0.1:9480", ""},
		{Page{Listen: "0.0.0.0:9480", Files: files}, "", "0.0.0.0:9480", "https://127.0.0.1:9480", "https://nocturne.example.org:9480"},
		{Page{Listen: ":9480", Files: files}, "", ":9480", "https://127.0.0.1:9480", "https://nocturne.example.org:9480"},
		{Page{Listen: "10.0.0.5:9480", Files: files}, "", "10.0.0.5:9480", "https://10.0.0.5:9480", "https://nocturne.example.org:9480"},
		{page: Page{Listen: "0.0.0.0:9480"}, wrong: "give --page-cert FILE and --page-key FILE"},
		{page: Page{Listen: "nonsense", Files: files}, wrong: "want an address and a port"},
		{page: half, wrong: "belong together"},
		{page: Page{Files: trust.Files{CertFile: filepath.Join(dir, "none.pem"), KeyFile: files.KeyFile}}, wrong: "none.pem"},
	} {
		err := c.page.Check()
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%+v: %v, want %s", c.page, err, c.wrong)
			}
			continue
		}
		if got := c.page.Addr(9480); err != nil || got != c.addr || c.page.Here(9480) != c.here || c.u != "" && c.page.URL(9480) != c.u {
			t.Errorf("%+v: %v, %s %s %s", c.page, err, got, c.page.Here(9480), c.page.URL(9480))
		}
	}
}

// What the parts are told of a page with TLS fits together.
func TestPageInTheConfigurations(t *testing.T) {
	s := &stack{Options: Options{Mode: Run, Ports: DefaultPorts(), Keep: DefaultRetention()}, Layout: Layout{t.TempDir()}}
	s.Page = Page{Listen: "0.0.0.0:9480", Files: trusttest.Certificate(t, t.TempDir(), "nocturne.example.org")}
	text := func(d doc) string {
		t.Helper()
		b, err := yaml.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	ruler, scrape := text(s.rulerConfig()), text(s.scrapeConfig())
	for _, want := range []string{"listen: 0.0.0.0:9480", "cert_file: " + s.Page.Files.CertFile, "console_url: https://nocturne.example.org:9480", "- nocturne.example.org"} {
		if !strings.Contains(ruler, want) {
			t.Errorf("the ruler is not told %q:\n%s", want, ruler)
		}
	}
	if !strings.Contains(scrape, "scheme: https") || strings.Count(scrape, "scheme:") != 1 {
		t.Errorf("scrapes:\n%s", scrape)
	}
	s.Page = Page{}
	if ruler, scrape = text(s.rulerConfig()), text(s.scrapeConfig()); strings.Contains(ruler, "tls") || strings.Contains(ruler, "hosts") || strings.Contains(scrape, "https") {
		t.Errorf("without a certificate:\n%s%s", ruler, scrape)
	}
}
