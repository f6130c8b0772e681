// Package freeport finds ports to listen on a moment later.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports lie below those that systems hand out for connections and for port 0 (from 32768 on Linux, 49152 on Windows):
// until the caller listens, nobody is given one by chance.
const from, to = 20000, 32000

// Find returns n different TCP ports on which nobody listens at 127.0.0.1.
func Find(n int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		port := from + rand.IntN(to-from)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			defer func() { _ = l.Close() }() // held until the end: none is found twice
			ports = append(ports, port)
		} else if tries > 100*n {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
	}
	return ports, nil
}
