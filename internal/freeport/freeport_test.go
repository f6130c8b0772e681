package freeport

import "testing"

func TestFind(t *testing.T) {
	ports, err := Find(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if seen[p] || p < from || p >= to {
			t.Errorf("port %d", p)
		}
		seen[p] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d ports", len(seen))
	}
}
