package rulebook

import (
	"fmt"
	"strings"
)

const around = 3 // lines around a change

// Unified writes the difference of two texts as a unified diff; "" when there
// is none.
func Unified(from, to, a, b string) string {
	if a == b {
		return ""
	}
	x, y := lines(a), lines(b)
	ops := script(x, y)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", from, to)
	for at := 0; at < len(ops); {
		if ops[at].sign == ' ' {
			at++
			continue
		}
		begin := max(0, at-around)
		end, same := at, 0
		for i := at; i < len(ops) && same <= 2*around; i++ {
			if ops[i].sign == ' ' {
				same++
				continue
			}
			end, same = i, 0
		}
		stop := min(len(ops), end+1+around)
		hunk(&out, ops[begin:stop])
		at = stop
	}
	return out.String()
}

// op is a line that stays (' '), went ('-') or came ('+'), and where it stood.
type op struct {
	sign byte
	text string
	a, b int
}

func hunk(out *strings.Builder, ops []op) {
	var na, nb int
	for _, o := range ops {
		if o.sign != '+' {
			na++
		}
		if o.sign != '-' {
			nb++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(ops[0].a, na), span(ops[0].b, nb))
	for _, o := range ops {
		out.WriteByte(o.sign)
		out.WriteString(o.text + "\n")
	}
}

func span(from, n int) string {
	if n == 0 {
		from-- // diff names the line before an empty range
	}
	if n == 1 {
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, n)
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// script finds the shortest way from x to y by the longest common subsequence;
// a rule has at most MaxRule bytes.
func script(x, y []string) []op {
	head := 0
	for head < len(x) && head < len(y) && x[head] == y[head] {
		head++
	}
	m, n := len(x)-head, len(y)-head
	const most = 4 << 20 // cells
	var out []op
	for i := range head {
		out = append(out, op{' ', x[i], i, i})
	}
	i, j := 0, 0
	if m*n <= most {
		common := make([][]int32, m+1)
		for k := range common {
			common[k] = make([]int32, n+1)
		}
		for i := m - 1; i >= 0; i-- {
			for j := n - 1; j >= 0; j-- {
				if x[head+i] == y[head+j] {
					common[i][j] = common[i+1][j+1] + 1
				} else {
					common[i][j] = max(common[i+1][j], common[i][j+1])
				}
			}
		}
		for i < m && j < n {
			switch {
			case x[head+i] == y[head+j]:
				out = append(out, op{' ', x[head+i], head + i, head + j})
				i, j = i+1, j+1
			case common[i+1][j] >= common[i][j+1]:
				out = append(out, op{'-', x[head+i], head + i, head + j})
				i++
			default:
				out = append(out, op{'+', y[head+j], head + i, head + j})
				j++
			}
		}
	}
	for ; i < m; i++ {
		out = append(out, op{'-', x[head+i], head + i, head + j})
	}
	for ; j < n; j++ {
		out = append(out, op{'+', y[head+j], head + i, head + j})
	}
	return out
}
