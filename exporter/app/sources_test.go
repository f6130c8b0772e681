package app

import "testing"

// Every source of the configuration can be built a second time while the first
// one hangs.
func TestEverySourceCanBeBuiltAnew(t *testing.T) {
	o := options(t)
	o.Config = everything(o.Config)
	o.Sources = nil
	a, err := bare(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.spool.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := a.makeSources(); err != nil {
		t.Fatal(err)
	}
	if len(a.sources) < 6 {
		t.Errorf("%d sources", len(a.sources))
	}
	for _, s := range a.sources {
		fresh, err := a.renew(s.Name())
		if err != nil || fresh == s || fresh.Name() != s.Name() || fresh.Category() != s.Category() {
			t.Errorf("%s: %v, %v", s.Name(), fresh, err)
		}
	}
	if _, err := a.renew("none"); err == nil {
		t.Error("a source that is not there was built")
	}
}
