package rules

import (
	"bytes"
	"unicode/utf8"

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

// byteOrderMark is what some editors put before a text (YAML 1.2 section 5.2
// allows it there). It is no part of the first key.
const byteOrderMark = "\xef\xbb\xbf"

// Trim returns a file without its byte order mark.
func Trim(data []byte) []byte { return bytes.TrimPrefix(data, []byte(byteOrderMark)) }

// CheckText refuses a file that is no UTF-8, whose texts would silently be
// others than those that its author sees, and YAML that is nested so deep that
// its parser would overflow the stack.
func CheckText(name string, data []byte) error {
	if !utf8.Valid(data) {
		return notText(name, data)
	}
	if tk := tooDeep(data); tk != nil {
		return place{name, tk.Position.Line, tk.Position.Column}.errorf("", "nested deeper than any such file")
	}
	return nil
}

// notText points at the first byte that is no UTF-8.
func notText(name string, data []byte) error {
	good := 0
	for good < len(data) {
		r, size := utf8.DecodeRune(data[good:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		good += size
	}
	before := data[:good]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return place{name, line, column}.errorf("save the file as UTF-8", "the byte 0x%02x is no UTF-8", data[good])
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
