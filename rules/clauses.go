package rules

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
)

// Clause is a part of a condition that is true or false by itself: what stands
// between its outermost `and`s, or `or`s.
type Clause struct {
	Text  string // as the library writes it, escaped
	Holds bool
	Facts []string // what it asks for and what that is, like `body_bytes is 12`; none where Holds says it
}

// Clauses says which parts of a rule's condition are true of the facts of the
// last Begin, which is why the whole is. It compiles the parts anew: it is for
// people who ask, not for every request.
func (m *Machine) Clauses(a *AlertRule) []Clause {
	tree, err := checker.ParseCheck(a.When, expressionConfig(a.On))
	if err != nil {
		return nil // cannot be: the rule was compiled
	}
	for i := range fields { // the compiler may have left out names that decide nothing
		if fields[i].has(a.On) {
			m.env[fields[i].Name] = fields[i].get(m.facts)
		}
	}
	var list []Clause
	for _, n := range operands(nil, tree.Node, operatorOf(tree.Node)) {
		program, err := expr.Compile(n.String(), expressionOptions(a.On)...)
		if err != nil {
			continue
		}
		out, err := m.vm.Run(program, m.env)
		holds, _ := out.(bool)
		c := Clause{Text: Escape([]byte(n.String()), maxFactPath), Holds: err == nil && holds}
		if !isAnswer(n) {
			c.Facts = m.asked(nil, n)
		}
		list = append(list, c)
	}
	return list
}

// operatorOf returns "and" or "or" if n joins conditions, else "".
func operatorOf(n ast.Node) string {
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		return ""
	}
	switch b.Operator {
	case "and", "&&":
		return "and"
	case "or", "||":
		return "or"
	}
	return ""
}

// operands appends what op joins in n, from left to right.
func operands(list []ast.Node, n ast.Node, op string) []ast.Node {
	if op == "" || operatorOf(n) != op {
		return append(list, n)
	}
	b := n.(*ast.BinaryNode)
	return operands(operands(list, b.Left, op), b.Right, op)
}

// isAnswer reports whether n is has("…"), from("…") or the opposite of one, of
// which there is nothing more to say than whether it holds.
func isAnswer(n ast.Node) bool {
	if u, ok := n.(*ast.UnaryNode); ok {
		n = u.Node
	}
	_, ok := n.(*ast.CallNode)
	return ok
}

// asked appends the facts below n that are not in list yet.
func (m *Machine) asked(list []string, n ast.Node) []string {
	add := func(name string, value any) {
		fact := name + " is " + factText(value)
		if !slices.Contains(list, fact) {
			list = append(list, fact)
		}
	}
	switch n := n.(type) {
	case *ast.IdentifierNode:
		add(n.Value, m.env[n.Value])
	case *ast.UnaryNode:
		return m.asked(list, n.Node)
	case *ast.BinaryNode:
		return m.asked(m.asked(list, n.Left), n.Right)
	case *ast.ConditionalNode:
		return m.asked(m.asked(m.asked(list, n.Cond), n.Exp1), n.Exp2)
	case *ast.CallNode:
		switch f := m.env[n.Callee.String()].(type) {
		case func(string) int:
			add(n.String(), f(n.Arguments[0].(*ast.StringNode).Value))
		case func(string) bool:
			add(n.String(), f(n.Arguments[0].(*ast.StringNode).Value))
		}
	}
	return list
}

func factText(x any) string {
	switch x := x.(type) {
	case string:
		return `"` + strings.ReplaceAll(x, `"`, `\"`) + `"`
	case int:
		return strconv.Itoa(x)
	case bool:
		return strconv.FormatBool(x)
	case float64:
		if math.IsInf(x, 1) {
			return "infinite"
		}
		return strconv.FormatFloat(math.Round(1000*x)/1000, 'f', -1, 64)
	}
	return "not known"
}
