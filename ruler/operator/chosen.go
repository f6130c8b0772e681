package operator

import (
	"cmp"
	"slices"

	"nocturne/internal/record"
)

// chosen gathers who gets the record at hand, each once.
type chosen struct {
	round  uint64
	in     []uint64 // by place, the round in which it was chosen
	places []int
}

// seat makes room for one place more.
func (c *chosen) seat() { c.in = append(c.in, 0) }

func (c *chosen) begin() {
	c.round++
	c.places = c.places[:0]
}

func (c *chosen) choose(places []int) {
	for _, at := range places {
		c.one(at)
	}
}

func (c *chosen) one(at int) {
	if c.in[at] != c.round {
		c.in[at] = c.round
		c.places = append(c.places, at)
	}
}

// holders tell of which servers rules hold something, so that one which holds
// nothing and cannot begin to is not asked.
type holders map[record.ID][]holding

// holding is the place of a rule, and how many things it holds.
type holding struct{ at, n int32 }

func (h holders) find(server record.ID, at int) (int, bool) {
	return slices.BinarySearchFunc(h[server], int32(at), func(a holding, at int32) int { return cmp.Compare(a.at, at) })
}

// counts returns the function that tells h what the rule at a place holds more, or less.
func (h holders) counts(at int) func(server record.ID, n int) {
	return func(server record.ID, n int) {
		i, found := h.find(server, at)
		if !found {
			h[server] = slices.Insert(h[server], i, holding{at: int32(at)})
		}
		list := h[server]
		if list[i].n += int32(n); list[i].n <= 0 {
			list = slices.Delete(list, i, i+1)
			h[server] = list
		}
		if len(list) == 0 {
			delete(h, server)
		}
	}
}

func (h holders) choose(server record.ID, c *chosen) {
	for _, l := range h[server] {
		c.one(int(l.at))
	}
}
