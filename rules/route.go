package rules

import (
	"bytes"
	"fmt"
	"strings"
)

// node is a place in the tree of an API's path templates, a level a segment.
type node struct {
	literal map[string]*node
	param   *node        // {…}: any one segment
	rest    []methodWith // *: this and whatever follows
	ends    []methodWith // the path ends here
}

type methodWith struct {
	method  string // anyMethod: all
	command *Command
}

const anyMethod = "ANY"

// find walks the tree along path. A literal goes before a parameter, and both
// before a star. It visits a node at most once, since each has one depth:
// the time is bounded by the size of the tree.
func (n *node) find(method []byte, path [][]byte) *Command {
	if len(path) == 0 {
		if c := pick(n.ends, method); c != nil {
			return c
		}
		return pick(n.rest, method)
	}
	if next := n.literal[string(path[0])]; next != nil {
		if c := next.find(method, path[1:]); c != nil {
			return c
		}
	}
	if n.param != nil {
		if c := n.param.find(method, path[1:]); c != nil {
			return c
		}
	}
	return pick(n.rest, method)
}

// pick chooses by method. HEAD is GET without the answer's content (RFC 9110
// section 9.3.2): the node does the same work for it.
func pick(list []methodWith, method []byte) *Command {
	if string(method) == "HEAD" {
		method = []byte("GET")
	}
	var other *Command
	for i := range list {
		switch list[i].method {
		case string(method):
			return list[i].command
		case anyMethod:
			other = list[i].command
		}
	}
	return other
}

// path is a request's target in segments. Empty ones and a slash at the end
// are left out: proxies merge slashes, and routers differ about the last.
type path struct {
	segments [maxSegments][]byte
	n        int
	query    []byte
	ok       bool // short enough to be a known route
	hidden   bool // a slash was escaped, and stayed so
}

// slashes says what an escaped slash is. Servers differ: those that route the
// raw path (Go's RawPath, axum) keep it within its segment, those that unescape
// first (nginx, Java's servlets) see two segments.
type slashes uint8

const (
	slashesStay slashes = iota
	slashesCut
)

// split reads an origin-form or absolute-form target (RFC 9112 section 3.2).
// What it unescapes goes to buf, of maxPath bytes: a caller's array, since one
// of the path's own would move it to the heap.
func split(target, buf []byte, how slashes) (p path) {
	t, query, _ := bytes.Cut(target, []byte("?"))
	p.query = query
	if len(t) > 0 && t[0] != '/' {
		t = afterAuthority(t)
	}
	if p.ok = len(t) <= maxPath; !p.ok {
		return p
	}
	t, p.hidden = unescapePath(t, buf, how)
	for len(t) > 0 {
		var segment []byte
		segment, t, _ = bytes.Cut(t, []byte("/"))
		if len(segment) == 0 || string(segment) == "." {
			continue
		}
		if p.n == maxSegments {
			p.ok = false
			return p
		}
		p.segments[p.n] = segment
		p.n++
	}
	return p
}

// afterAuthority returns the path of an absolute-form target.
func afterAuthority(t []byte) []byte {
	_, rest, ok := bytes.Cut(t, []byte("://"))
	if !ok {
		return t
	}
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return nil
}

// unescapePath undoes percent-encoding (RFC 3986 section 2.1), which every server
// does before it routes: `/api/v1/inf%6f` must not be a way past the monitor. It
// reports whether it left an escaped slash as it is.
func unescapePath(t, buf []byte, how slashes) (out []byte, hidden bool) {
	if bytes.IndexByte(t, '%') < 0 {
		return t, false
	}
	out = buf[:0]
	for i := 0; i < len(t); i++ {
		c := t[i]
		if c == '%' && i+2 < len(t) {
			high, ok1 := hexDigit(t[i+1])
			low, ok2 := hexDigit(t[i+2])
			b := high<<4 | low
			switch {
			case ok1 && ok2 && b == '/' && how == slashesStay:
				hidden = true
			case ok1 && ok2:
				c = b
				i += 2
			}
		}
		out = append(out, c)
	}
	return out, hidden
}

// normal appends the path with what names a thing rather than a route
// replaced by {id}: it is for the eye, and no address, key or token may reach
// it.
func (p *path) normal(dst []byte) []byte {
	for _, segment := range p.segments[:p.n] {
		dst = append(dst, '/')
		if isID(segment) {
			dst = append(dst, "{id}"...)
		} else {
			dst = append(dst, segment...)
		}
	}
	if p.n == 0 {
		dst = append(dst, '/')
	}
	return dst
}

// maxWord is the longest segment that is believed to be a word of a route;
// hosted nodes have API keys of 32 characters in their paths.
const maxWord = 24

var bech32 = [...]string{"iota1", "smr1", "atoi1", "rms1", "tst1"}

// isID reports whether a path segment is an identifier: a number, hex (0x… or
// at least 16 digits), a bech32 address, a libp2p peer, a transaction of
// trytes or a UUID, the last three by their length.
func isID(b []byte) bool {
	if len(b) > maxWord || digits(b) == len(b) {
		return true
	}
	for _, prefix := range bech32 {
		if bytes.HasPrefix(b, []byte(prefix)) {
			return true
		}
	}
	h := bytes.TrimPrefix(b, []byte("0x"))
	if len(h) == len(b) && len(b) < 16 {
		return false
	}
	for _, c := range h {
		if _, ok := hexDigit(c); !ok {
			return false
		}
	}
	return true
}

// insert adds a template: literal segments, {…} for one of any kind, and at
// its end * for any number of them.
func (n *node) insert(method, template string, c *Command) error {
	if method == "" || !isUpper(method) {
		return fmt.Errorf("%q is no method", method)
	}
	rest, ok := strings.CutPrefix(template, "/")
	if !ok {
		return fmt.Errorf("the path does not start with /")
	}
	segments := strings.Split(rest, "/")
	if rest == "" {
		segments = nil
	}
	if len(segments) > maxSegments {
		return fmt.Errorf("more than %d segments", maxSegments)
	}
	for i, segment := range segments {
		if segment == "*" {
			if i < len(segments)-1 {
				return fmt.Errorf("a * before the end")
			}
			return addMethod(&n.rest, method, c)
		}
		next, err := n.child(segment)
		if err != nil {
			return err
		}
		n = next
	}
	return addMethod(&n.ends, method, c)
}

// child returns the node below n for a segment of a template.
func (n *node) child(segment string) (*node, error) {
	if segment == "" {
		return nil, fmt.Errorf("an empty segment")
	}
	if segment[0] == '{' && segment[len(segment)-1] == '}' && len(segment) > 2 {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param, nil
	}
	if strings.ContainsAny(segment, "{}*?#% ") {
		return nil, fmt.Errorf("segment %q is neither a word nor {…}", segment)
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[segment] == nil {
		n.literal[segment] = &node{}
	}
	return n.literal[segment], nil
}

func addMethod(list *[]methodWith, method string, c *Command) error {
	for _, m := range *list {
		if m.method == method {
			return fmt.Errorf("the same as %s", m.command.Name)
		}
	}
	*list = append(*list, methodWith{method, c})
	return nil
}

func isUpper(s string) bool {
	for i := range len(s) {
		if s[i]-'A' >= 26 {
			return false
		}
	}
	return true
}
