package api

import "testing"

func TestIsController(t *testing.T) {
	for place, want := range map[string]bool{"c0": true, "c12": true, "storcli2:c0": true, "c": false, "md0": false, "cx": false, "": false, "storcli2:": false} {
		if isController(place) != want {
			t.Errorf("%q: want %v", place, want)
		}
	}
}
