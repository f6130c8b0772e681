// Package promapi has the answers of Prometheus' query API as they are read
// from VictoriaMetrics. What an answer that does not fit means is for the caller
// to say: rules and charts give up at different points.
// Source: https://prometheus.io/docs/prometheus/latest/querying/api/.
package promapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Answer is what /api/v1/query and /api/v1/query_range say.
type Answer struct {
	Status    string `json:"status"`
	Error     string `json:"error"`
	IsPartial bool   `json:"isPartial"` // of a cluster, when a node is away
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// Series is one of a vector, which has Value, or of a matrix, which has Values.
type Series struct {
	Metric map[string]string `json:"metric"`
	Value  *Point            `json:"value"`
	Values []Point           `json:"values"`
}

// Point is a value and its time, in milliseconds since 1970.
type Point struct {
	Time  int64
	Value float64
}

// UnmarshalJSON reads [1700000000.123, "0.5"], and nothing else.
func (p *Point) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	var at float64
	var value string
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a point of %d parts, want 2", len(pair))
	}
	if err := errors.Join(json.Unmarshal(pair[0], &at), json.Unmarshal(pair[1], &value)); err != nil {
		return err
	}
	if math.Abs(at) > 1e11 { // the year 5138
		return fmt.Errorf("a point at %g seconds", at)
	}
	p.Time = int64(math.Round(at * 1000))
	var err error
	p.Value, err = strconv.ParseFloat(value, 64)
	return err
}
