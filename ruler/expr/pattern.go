package expr

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/common/ast"
)

// CheckPattern refuses a pattern that is no RE2, or a very large one.
func CheckPattern(s string) error {
	if len(s) > MaxPattern {
		return fmt.Errorf("%d bytes, at most %d", len(s), MaxPattern)
	}
	re, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return err
	}
	p, err := syntax.Compile(re.Simplify())
	if err != nil {
		return err
	}
	if len(p.Inst) > maxProgram {
		return fmt.Errorf("it makes %d instructions, at most %d: repeat less", len(p.Inst), maxProgram)
	}
	return nil
}

func (c *checker) pattern(e ast.Expr, s string) *Mistake {
	if err := CheckPattern(s); err != nil {
		return c.fail(e, fmt.Sprintf("pattern %.60q: %v", s, err), "patterns are RE2: no back references, no look-ahead")
	}
	return nil
}

// Pattern compiles a pattern that must fit the whole text.
func Pattern(s string, fold bool) (*regexp.Regexp, error) {
	if err := CheckPattern(s); err != nil {
		return nil, err
	}
	flags := "s"
	if fold {
		flags = "si"
	}
	return regexp.Compile("^(?" + flags + ":" + s + ")$")
}
