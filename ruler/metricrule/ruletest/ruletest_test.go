package ruletest_test

import (
	"strings"
	"testing"

	"nocturne/ruler/metricrule/ruletest"
)

func TestRun(t *testing.T) {
	seen, err := ruletest.Run("testdata/good.yml")
	if err != nil {
		t.Fatal(err)
	}
	if s := seen["Down"]; !s.Fired || !s.Cleared || s.Quiet {
		t.Errorf("tested: %+v", s)
	}
	_, err = ruletest.Run("testdata/bad.yml")
	if err == nil || !strings.Contains(err.Error(), "summary: a is down") {
		t.Errorf("a test that is wrong: %v", err)
	}
}
