// Package expr compiles and evaluates the free conditions of rules: CEL
// (https://cel.dev) over one record, the labels of its server and the facts of
// its frame.
//
// There are no loops: macros but has() are cleared, so the cost of a condition
// is bounded by its length and that of the record. There is no I/O, no clock
// and no state; patterns are RE2 and written out, never taken from a record.
// What a condition says about provider, event id, channel and level is read
// from its syntax tree (Keys), for an index.
//
// A Condition is read-only and safe for concurrent use. To test: go test
// ./ruler/expr.
package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"nocturne/internal/record"
)

// Limits of a condition, and of what it is shown.
const (
	MaxSource  = 4 << 10 // bytes of a condition
	MaxNodes   = 500     // parts of its syntax tree
	MaxNesting = 50      // of parentheses and calls
	MaxPattern = 1 << 10 // bytes of a pattern
	maxProgram = 10_000  // instructions of a compiled pattern
	MaxText    = 64 << 10
	maxReason  = 200
)

// Condition is a compiled free condition.
type Condition struct {
	src   string
	prg   cel.Program
	keys  Keys
	parts []string
}

// Mistake is why a condition does not compile.
type Mistake struct {
	Line, Column int // of the condition, from 1
	Text, Hint   string
}

// Input is what a condition is about.
type Input struct {
	Record *record.Record
	Header *record.Header // may be nil
	// Label returns a label of the server, as it stands in the register.
	Label func(key string) string
}

// Labels of servers, as a condition names them: server.site.
func Labels() []string {
	return []string{"name", "site", "rack", "role", "owner", "os", "simulated"}
}

// String returns the condition as it was written.
func (c *Condition) String() string { return c.src }

// MarshalJSON writes the condition as it was written: it is part of a rule's
// shape.
func (c *Condition) MarshalJSON() ([]byte, error) { return json.Marshal(c.src) }

// Keys returns what must be true of a record, at the least, for the condition to hold.
func (c *Condition) Keys() Keys { return c.keys }

// Parts returns the conditions that "&&" joins at the top, as they read.
func (c *Condition) Parts() []string { return c.parts }

// Variables that are no label of the server.
const (
	varProvider   = "provider"
	varEventID    = "event_id"
	varChannel    = "channel"
	varLevel      = "level"
	varMessage    = "message"
	varAttr       = "attr"
	varData       = "data"
	varCategory   = "header.category"
	varProducer   = "header.producer"
	varUnassured  = "header.unassured"
	labelPrefix   = "server."
	knownForHints = "provider, event_id, channel, level, message, attr[\"…\"], data.…, server.site, header.category"
)

// functions are those of CEL that need neither a clock nor the machine.
var functions = []string{"contains", "startsWith", "endsWith", "matches", "size", "int", "double", "string", "timestamp", "duration"}

// environment is the one environment of all conditions.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	subset := env.NewLibrarySubset().AddIncludedMacros(operators.Has)
	for _, name := range []string{operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Equals, operators.NotEquals,
		operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.Add, operators.Subtract, operators.Multiply, operators.Divide,
		operators.Modulo, operators.Negate, operators.Index, operators.In, "bool"} {
		subset.AddIncludedFunctions(env.NewFunction(name))
	}
	for _, name := range functions {
		subset.AddIncludedFunctions(env.NewFunction(name))
	}
	texts := cel.MapType(cel.StringType, cel.StringType)
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.EagerlyValidateDeclarations(true),
		cel.ParserExpressionSizeLimit(MaxSource),
		cel.ExpressionNodeLimit(MaxNodes),
		cel.ExpressionNestingDepthLimit(MaxNesting),
		cel.ParserRecursionLimit(MaxNesting),
		cel.RegexProgramSizeLimit(maxProgram),
		cel.CrossTypeNumericComparisons(true),
		cel.Variable(varProvider, cel.StringType),
		cel.Variable(varEventID, cel.IntType),
		cel.Variable(varChannel, cel.StringType),
		cel.Variable(varLevel, cel.StringType),
		cel.Variable(varMessage, cel.StringType),
		cel.Variable(varAttr, texts),
		cel.Variable(varData, texts),
		cel.Variable(varCategory, cel.StringType),
		cel.Variable(varProducer, cel.StringType),
		cel.Variable(varUnassured, cel.BoolType),
	}
	for _, l := range Labels() {
		options = append(options, cel.Variable(labelPrefix+l, cel.StringType))
	}
	return cel.NewCustomEnv(options...)
})

// Compile reads a condition.
func Compile(src string) (*Condition, *Mistake) {
	if len(src) > MaxSource {
		return nil, &Mistake{1, 1, fmt.Sprintf("%d bytes are too long", len(src)), fmt.Sprintf("at most %d; make several rules", MaxSource)}
	}
	if !utf8.ValidString(src) {
		return nil, &Mistake{1, 1, "the text is not UTF-8", ""}
	}
	e, err := environment()
	if err != nil {
		return nil, &Mistake{1, 1, err.Error(), ""}
	}
	tree, issues := e.Compile(src)
	if err := issues.Err(); err != nil {
		return nil, mistake(src, issues)
	}
	if tree.OutputType() != cel.BoolType {
		return nil, &Mistake{1, 1, "the condition is of type " + tree.OutputType().String() + ", not bool", "compare it with something: " + strings.TrimSpace(src) + ` == "…"`}
	}
	root := tree.NativeRep()
	if m := (&checker{root.SourceInfo()}).check(root.Expr()); m != nil {
		return nil, m
	}
	prg, err := e.Program(tree, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, &Mistake{1, 1, err.Error(), ""}
	}
	c := &Condition{src: src, prg: prg, keys: keysOf(root.Expr())}
	for _, part := range conjuncts(root.Expr()) {
		text, err := cel.ExprToString(part, root.SourceInfo())
		if err != nil {
			c.parts = []string{src}
			break
		}
		c.parts = append(c.parts, text)
	}
	return c, nil
}

// Holds evaluates the condition. An error is no match: an attribute that is
// missing, or a text that is no number.
func (c *Condition) Holds(in *Input) (bool, error) {
	out, _, err := c.prg.Eval((*activation)(in))
	if err != nil {
		return false, errors.New(reason(err))
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the condition is a %s", out.Type().TypeName())
	}
	return bool(b), nil
}

// reason is an evaluation error for a person, bounded: it may quote the record.
func reason(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	if key, ok := strings.CutPrefix(text, "no such key: "); ok {
		return fmt.Sprintf("the record has no %s", key)
	}
	return text
}

// mistake is the first of what the compiler says.
func mistake(src string, issues *cel.Issues) *Mistake {
	all := issues.Errors()
	if len(all) == 0 {
		return &Mistake{1, 1, issues.Err().Error(), ""}
	}
	first := all[0]
	m := &Mistake{Line: max(first.Location.Line(), 1), Column: max(first.Location.Column()+1, 1), Text: clip(first.Message)}
	switch text := first.Message; {
	case strings.Contains(text, "undeclared reference to"):
		m.Hint = undeclared(text)
	case strings.Contains(text, "found no matching overload"):
		m.Hint = `attributes are texts: write int(attr["…"]) > 5 to compare numbers`
	case strings.Contains(text, "exceed"):
		m.Hint = fmt.Sprintf("at most %d parts, nested %d deep; make several rules", MaxNodes, MaxNesting)
	case strings.Contains(text, "Syntax error"):
		m.Hint = `write for example: provider == "disk" && attr["event.data.param1"].startsWith("C:")`
		if strings.Contains(text, "'= '") || strings.Contains(text, "'='") {
			m.Hint = `"is" is written ==`
		}
		if strings.Contains(src, " and ") || strings.Contains(src, " or ") {
			m.Hint = `"and" is written &&, "or" is written ||, "not" is written !`
		}
	}
	return m
}

func undeclared(text string) string {
	_, name, _ := strings.Cut(text, "'")
	name, _, _ = strings.Cut(name, "'")
	if first, _, ok := strings.Cut(name, "."); ok {
		name = first
	}
	switch name {
	case "all", "exists", "exists_one", "map", "filter":
		return "there are no loops in conditions; several rules can be of one class"
	case "server":
		return "known are server." + strings.Join(Labels(), ", server.")
	case "header":
		return "known are " + strings.Join([]string{varCategory, varProducer, varUnassured}, ", ")
	case "event", "attrs":
		return `write attr["event.data.param1"], or data.param1`
	case "body", "text", "msg":
		return "the text of an event is message"
	case "id":
		return "write event_id"
	}
	return "known are " + knownForHints + " and the functions " + strings.Join(functions, ", ")
}

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}

// checker refuses what compiles and cannot be meant.
type checker struct{ info *ast.SourceInfo }

func (c *checker) fail(e ast.Expr, text, hint string) *Mistake {
	at := c.info.GetStartLocation(e.ID())
	return &Mistake{max(at.Line(), 1), max(at.Column()+1, 1), text, hint}
}

func (c *checker) check(e ast.Expr) *Mistake {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if m := c.call(e, call); m != nil {
			return m
		}
		if call.IsMemberFunction() {
			if m := c.check(call.Target()); m != nil {
				return m
			}
		}
		return c.each(call.Args())
	case ast.SelectKind:
		return c.check(e.AsSelect().Operand())
	case ast.ListKind:
		return c.each(e.AsList().Elements())
	case ast.MapKind, ast.StructKind:
		return c.fail(e, "a condition makes no maps", "compare with values or lists")
	case ast.ComprehensionKind:
		return c.fail(e, "a condition has no loops", "several rules can be of one class")
	default:
		return nil
	}
}

func (c *checker) each(list []ast.Expr) *Mistake {
	for _, e := range list {
		if m := c.check(e); m != nil {
			return m
		}
	}
	return nil
}

func (c *checker) call(e ast.Expr, call ast.CallExpr) *Mistake {
	args := call.Args()
	switch call.FunctionName() {
	case "matches":
		s, ok := text(args[len(args)-1])
		switch {
		case !ok:
			return c.fail(e, "the pattern of matches() is not written out", "a pattern never comes from a record: write it as a text")
		case len(s) > MaxPattern:
			return c.fail(e, fmt.Sprintf("a pattern of %d bytes", len(s)), fmt.Sprintf("at most %d", MaxPattern))
		}
		return c.pattern(e, s)
	case operators.Index:
		if key, ok := text(args[1]); ok && args[0].Kind() == ast.IdentKind && args[0].AsIdent() == varAttr {
			if known := knownAttr(key); known != "" {
				return c.fail(e, fmt.Sprintf("attr[%q]", key), "write "+known+": it is indexed")
			}
		}
	case "contains", "startsWith", "endsWith":
		if call.IsMemberFunction() {
			return c.literal(call.Target(), args[0], false)
		}
	case operators.Equals, operators.NotEquals:
		if m := c.literal(args[0], args[1], true); m != nil {
			return m
		}
		return c.literal(args[1], args[0], true)
	case operators.In:
		if args[1].Kind() == ast.ListKind {
			for _, v := range args[1].AsList().Elements() {
				if m := c.literal(args[0], v, true); m != nil {
					return m
				}
			}
		}
	}
	return nil
}

// literal refuses a value that a variable never has.
func (c *checker) literal(e, value ast.Expr, whole bool) *Mistake {
	s, ok := text(value)
	if !ok || e.Kind() != ast.IdentKind {
		return nil
	}
	switch name := e.AsIdent(); name {
	case varProvider, varChannel:
		if low := strings.ToLower(s); low != s {
			return c.fail(value, fmt.Sprintf("%s never is %.60q", name, s), fmt.Sprintf("it compares without case and is given in lower case: write %.60q", low))
		}
	case varLevel:
		if whole && !slices.Contains(Levels(), s) {
			return c.fail(value, fmt.Sprintf("level never is %.40q", s), "known are "+strings.Join(Levels(), ", "))
		}
	}
	return nil
}

// Levels of events, as exporters write them; the first five from worst to least.
func Levels() []string {
	return []string{"critical", "error", "warning", "info", "verbose", "audit_success", "audit_failure"}
}

func knownAttr(key string) string {
	switch key {
	case record.AttrProvider:
		return varProvider
	case record.AttrEventID:
		return varEventID
	case record.AttrChannel:
		return varChannel
	case record.AttrLevel:
		return varLevel
	}
	return ""
}

func text(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

func number(e ast.Expr) (int64, bool) {
	if e.Kind() != ast.LiteralKind {
		return 0, false
	}
	n, ok := e.AsLiteral().(types.Int)
	return int64(n), ok
}
