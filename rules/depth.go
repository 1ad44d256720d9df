package rules

import (
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// The YAML parser calls itself for every level of nesting and has no bound of
// its own: a file of a few hundred kilobytes of brackets overflows the stack,
// which no program survives. So the tokens are counted first, which needs no
// recursion. A rule file has 6 levels.
const (
	maxFlow   = 32  // brackets and braces open at once
	maxInLine = 32  // dashes, question marks, keys, anchors and tags of one line, outside of brackets
	maxIndent = 256 // columns: a block is nested as deep as it is indented, at most
	maxMarks  = 100 // anchors and tags of a file, which are refused later with a better word
)

// CheckNesting refuses YAML that is nested so deep that its parser would
// overflow the stack, for other readers of YAML.
func CheckNesting(name string, data []byte) error {
	if tk := tooDeep(data); tk != nil {
		return place{name, tk.Position.Line, tk.Position.Column}.errorf("", "nested deeper than any such file")
	}
	return nil
}

// nesting counts the levels of a file's tokens.
type nesting struct {
	flow, inLine, marks int
	line                int
}

// tooDeep returns the token at which a file is nested deeper than any rule
// file; nil if there is none.
func tooDeep(data []byte) *token.Token {
	var n nesting
	for _, tk := range lexer.Tokenize(string(data)) {
		if tk.Position != nil && n.exceeds(tk) {
			return tk
		}
	}
	return nil
}

func (n *nesting) exceeds(tk *token.Token) bool {
	first := tk.Position.Line != n.line
	if first {
		n.line, n.inLine = tk.Position.Line, 0
	}
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		n.flow++
	case token.MappingEndType, token.SequenceEndType:
		n.flow = max(n.flow-1, 0)
	case token.AnchorType, token.TagType, token.AliasType:
		n.marks++
		n.inLine++
	case token.SequenceEntryType, token.MappingKeyType:
		n.inLine++
	case token.MappingValueType:
		if n.flow == 0 {
			n.inLine++
		}
	}
	return n.flow > maxFlow || n.inLine > maxInLine || n.marks > maxMarks ||
		first && n.flow == 0 && tk.Position.Column > maxIndent
}
