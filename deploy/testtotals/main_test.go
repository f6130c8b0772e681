package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const goRun = `{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"pass","Package":"p","Test":"TestGood","Elapsed":0}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    x_test.go:3: 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestBad","Elapsed":0}
{"Action":"output","Package":"p","Test":"TestSkipped","Output":"    x_test.go:9: needs Windows\n"}
{"Action":"output","Package":"p","Test":"TestSkipped","Output":"--- SKIP: TestSkipped (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestSkipped","Elapsed":0}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p","Elapsed":1.5}
{"Action":"output","Package":"q","Output":"ok  \tq\t(cached)\n"}
{"Action":"pass","Package":"q","Elapsed":0}
{"Action":"output","Package":"none","Output":"?   \tnone\t[no test files]\n"}
{"Action":"skip","Package":"none","Elapsed":0}
`

func TestGoRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "totals")
	var out strings.Builder
	if err := run([]string{"-add", file}, strings.NewReader(goRun), &out); err == nil || err.Error() != "1 failed" {
		t.Errorf("error %v, want 1 failed", err)
	}
	for _, want := range []string{"x_test.go:3: 1, want 2", "FAIL p  ", "1.5s", "ok   q  ", "cached", "skipped: p TestSkipped: x_test.go:9: needs Windows"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output without %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "none") {
		t.Errorf("output names a package without tests:\n%s", &out)
	}
	if err := run([]string{"-tap", "-add", file}, strings.NewReader("TAP version 13\n# pass 3\n# fail 0\n# cancelled 0\n# skipped 1\n"), &out); err != nil {
		t.Error(err)
	}
	out.Reset()
	if err := run([]string{"-sum", file}, nil, &out); err != nil || out.String() != "4 passed, 1 failed, 2 skipped\n" {
		t.Errorf("sum %q, %v", &out, err)
	}
}

func TestWhatDidNotRunFails(t *testing.T) {
	tests := map[string]struct{ args, in string }{
		"build":     {"", `{"ImportPath":"p","Action":"build-output","Output":"x.go:1: undefined: y\n"}` + "\n" + `{"ImportPath":"p","Action":"build-fail"}` + "\n" + `{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}` + "\n" + `{"Action":"fail","Package":"p","FailedBuild":"p"}`},
		"no totals": {"-tap", "TAP version 13\nError: cannot find module\n"},
		"panic":     {"", `{"Action":"output","Package":"p","Output":"panic: boom\n"}` + "\n" + `{"Action":"fail","Package":"p"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := run(strings.Fields(tt.args), strings.NewReader(tt.in), &out); err == nil {
				t.Errorf("no error; output:\n%s", &out)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "totals")
	if err := (totals{skipped: 3}).appendTo(file); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-sum", file}, nil, &strings.Builder{}); err == nil {
		t.Error("a run without a passed test is no success")
	}
}
