package rules

import (
	"errors"
	"net/netip"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// operators are what an expression may combine its parts with. Those of the
// library that make lists (..), or fail while they run (%), are not among
// them, and no part of an expression loops: its steps are bounded by its
// length.
var operators = map[string]bool{
	"==": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true,
	"+": true, "-": true, "*": true, "/": true,
	"and": true, "or": true, "&&": true, "||": true, "!": true, "not": true,
	"in": true, "contains": true, "startsWith": true, "endsWith": true, "matches": true,
}

// checked is an expression while it is checked.
type checked struct {
	c    *compiler
	on   On
	text textAt
	n    int // errors so far

	steps int // of its regular expressions
}

// expression compiles and checks a `when`; nil after an error.
func (c *compiler) expression(on On, text textAt) *vm.Program {
	x := checked{c: c, on: on, text: text}
	if len(text.text) > maxWhen {
		c.fail(text.at, "make two rules of it", "when is longer than %d bytes", maxWhen)
		return nil
	}
	tree, err := checker.ParseCheck(text.text, expressionConfig(on))
	if tree != nil && tree.Node != nil {
		x.node(tree.Node) // first: its words are about our language
	}
	if x.n > 0 {
		return nil
	}
	if err != nil {
		x.fault(err)
		return nil
	}
	program, err := expr.Compile(text.text, expressionOptions(on)...)
	if err != nil {
		x.fault(err)
		return nil
	}
	return program
}

// expressionConfig is what the library's parser and checker need to know of the
// language of rules on o.
func expressionConfig(o On) *conf.Config {
	cfg := conf.CreateNew()
	for _, option := range expressionOptions(o) {
		option(cfg)
	}
	for name := range cfg.Disabled {
		delete(cfg.Builtins, name)
	}
	return cfg
}

// expressionOptions is the language of rules on o.
func expressionOptions(o On) []expr.Option {
	env := map[string]any{}
	for i := range fields {
		if fields[i].has(o) {
			env[fields[i].Name] = fields[i].zero()
		}
	}
	if o != OnNode {
		for _, name := range []string{"len", "minLen", "maxLen", "int"} {
			env[name] = func(string) int { return 0 }
		}
		env["has"], env["from"] = func(string) bool { return false }, func(string) bool { return false }
	}
	options := []expr.Option{expr.Env(env), expr.AsBool(), expr.MaxNodes(maxNodes), expr.DisableIfOperator()}
	for _, name := range builtin.Names {
		options = append(options, expr.DisableBuiltin(name))
	}
	return options
}

func (x *checked) fail(n ast.Node, hint, format string, args ...any) {
	x.failAt(n.Location().From, hint, format, args...)
}

// failAt reports an error at a rune of the expression.
func (x *checked) failAt(at int, hint, format string, args ...any) {
	x.n++
	before := x.text.text
	for i := range before {
		if at == 0 {
			before = before[:i]
			break
		}
		at--
	}
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	p := x.text.place(line, column)
	x.c.fail(p, hint, format, args...)
}

// fault reports what the library found.
func (x *checked) fault(err error) {
	var e *file.Error
	if !errors.As(err, &e) {
		x.failAt(0, "compare something: command == \"getTips\"", "when is no condition: %s", Escape([]byte(err.Error()), maxQuoted))
		return
	}
	message, _, _ := strings.Cut(e.Message, "\n")
	x.failAt(e.From, "", "%s", Escape([]byte(message), maxQuoted))
}

// node checks that n and all below it are of our language, which is a part of
// the library's.
func (x *checked) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode:
	case *ast.IdentifierNode:
		x.name(n)
	case *ast.UnaryNode:
		x.operator(n, n.Operator)
		x.node(n.Node)
	case *ast.BinaryNode:
		x.binary(n)
	case *ast.ConditionalNode:
		x.node(n.Cond)
		x.node(n.Exp1)
		x.node(n.Exp2)
	case *ast.CallNode:
		x.call(n)
	case *ast.ArrayNode:
		x.fail(n, `command in ["getTips", "getTrytes"]`, "a list stands elsewhere than behind in")
	case *ast.PredicateNode, *ast.BuiltinNode:
		x.fail(n, "known functions: "+funcNames(), "a rule cannot loop")
	case *ast.MemberNode, *ast.SliceNode, *ast.ChainNode:
		x.fail(n, `parameters are asked for by len("addresses")`, "facts have no parts")
	default:
		x.fail(n, "", "this is not part of the language of rules")
	}
}

func (x *checked) operator(n ast.Node, name string) {
	if !operators[name] {
		x.fail(n, "", "operator %s is not part of the language of rules", name)
	}
}

func (x *checked) name(n *ast.IdentifierNode) {
	f := findField(n.Value)
	switch {
	case f == nil && isFunc(n.Value):
		x.fail(n, "like "+n.Value+`("…")`, "%s is a function", n.Value)
	case f == nil:
		x.fail(n, Hint(n.Value, fieldNames(x.on)), `unknown name "%s" in a rule on %s`, brief(n.Value), x.on)
	case !f.has(x.on):
		var kinds []string
		for _, o := range f.On {
			kinds = append(kinds, o.String())
		}
		x.fail(n, "known on: "+strings.Join(kinds, ", "), "%s is not known to a rule on %s", n.Value, x.on)
	}
}

func (x *checked) binary(n *ast.BinaryNode) {
	x.operator(n, n.Operator)
	x.node(n.Left)
	switch list, ok := n.Right.(*ast.ArrayNode); {
	case n.Operator == "in" && ok:
		for _, e := range list.Nodes {
			switch e.(type) {
			case *ast.IntegerNode, *ast.FloatNode, *ast.StringNode:
				x.known(n.Left, e)
			default:
				x.fail(e, "write the values out", "a list holds texts and numbers only")
			}
		}
		return
	case n.Operator == "in":
		x.fail(n.Right, `command in ["getTips", "getTrytes"]`, "in needs a list")
		return
	case n.Operator == "matches":
		x.pattern(n.Right)
		return
	case n.Operator == "==", n.Operator == "!=":
		x.known(n.Left, n.Right)
		x.known(n.Right, n.Left)
	case n.Operator == "+" && isText(n.Left):
		x.fail(n, "", "texts cannot be joined") // it would be the one thing here that grows
		return
	}
	x.node(n.Right)
}

// pattern checks a regular expression and adds up what it costs: RE2 takes time
// in proportion to the text and to the pattern, and a pattern of twenty letters
// like (a{1,100}){1,10} has a thousand steps for each byte of the text.
func (x *checked) pattern(n ast.Node) {
	text, ok := n.(*ast.StringNode)
	if !ok {
		x.fail(n, "write the pattern out", "matches needs a regular expression in quotes")
		return
	}
	re, err := syntax.Parse(text.Value, syntax.Perl)
	if err != nil {
		return // the library says so, in words of its own
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return
	}
	x.steps += len(prog.Inst)
	x.c.steps += len(prog.Inst)
	const hint = "make it shorter: what is in {1,100} counts a hundred times"
	switch {
	case x.steps > maxSteps:
		x.fail(n, hint, "matches takes %d steps for each byte of the text, more than %d in one rule", x.steps, maxSteps)
	case x.c.steps > maxAllSteps:
		x.fail(n, hint, "matches takes %d steps for each byte of the text, more than %d in all rules together", x.c.steps, maxAllSteps)
	}
}

func isText(n ast.Node) bool {
	t := n.Type()
	return t != nil && t.Kind().String() == "string"
}

// known checks a text that a fact of a closed set is compared with: a slip of
// the pen would be a rule that never fires.
func (x *checked) known(fact, value ast.Node) {
	name, ok := fact.(*ast.IdentifierNode)
	text, isString := value.(*ast.StringNode)
	if !ok || !isString {
		return
	}
	var names []string
	switch name.Value {
	case "command":
		for _, c := range x.c.set.commands {
			names = append(names, c.Name)
		}
	case "api":
		for _, a := range x.c.set.apis {
			names = append(names, a.name)
		}
	case "class":
		names = classNames[:]
	default:
		return
	}
	for _, n := range names {
		if n == text.Value {
			return
		}
	}
	x.fail(value, Hint(text.Value, names), `no %s is named "%s"`, name.Value, brief(text.Value))
}

func (x *checked) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || !isFunc(callee.Value) {
		name := "this"
		if ok {
			name = brief(callee.Value)
		}
		x.fail(n, "known functions: "+funcNames(), "%s is no function of rules", name)
		return
	}
	if x.on == OnNode {
		x.fail(n, "", "%s asks about a call; a rule on node has none", callee.Value)
		return
	}
	if len(n.Arguments) != 1 {
		x.fail(n, "like "+callee.Value+`("…")`, "%s takes one text", callee.Value)
		return
	}
	arg, ok := n.Arguments[0].(*ast.StringNode)
	if !ok {
		x.fail(n.Arguments[0], "write the name out", "%s needs a text in quotes", callee.Value)
		return
	}
	x.argument(callee.Value, arg)
}

// argument checks what a function is asked for.
func (x *checked) argument(f string, arg *ast.StringNode) {
	if f == "from" {
		if _, err := netip.ParsePrefix(arg.Value); err != nil {
			x.fail(arg, `like "192.0.2.0/24" or "2001:db8::/32"`, `"%s" is no network`, brief(arg.Value))
		}
		return
	}
	id, ok := x.c.set.byName.get([]byte(arg.Value))
	if !ok || int(id) >= len(x.c.set.params) {
		names := make([]string, len(x.c.set.params))
		for i := range x.c.set.params {
			names[i] = x.c.set.params[i].name
		}
		x.fail(arg, Hint(arg.Value, names), `no parameter is named "%s"`, brief(arg.Value))
		return
	}
	switch keep := x.c.set.params[id].keep; {
	case keep == KeepNothing:
		x.fail(arg, "", `of the parameter "%s" nothing is kept`, arg.Value)
	case f == "int" && keep != KeepNumber:
		x.fail(arg, "list it under parameters: number", `of the parameter "%s" no number is kept`, arg.Value)
	}
}

func funcNames() string {
	names := make([]string, len(funcs))
	for i := range funcs {
		names[i] = funcs[i].Name
	}
	return strings.Join(names, ", ")
}
