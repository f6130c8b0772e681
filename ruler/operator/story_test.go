package operator_test

import (
	"flag"
	"testing"

	"nocturne/ruler/operator/operatortest"
)

var update = flag.Bool("update", false, "rewrite what the stories want")

func TestStories(t *testing.T) {
	operatortest.Run(t, "testdata", operatortest.Options{Update: *update})
}
