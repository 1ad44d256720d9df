package rules

import "bytes"

// naming says how an API's requests name their command.
type naming uint8

const (
	byJSONKey naming = iota // a string under a key of the body's JSON object
	byJSONRPC               // the same, and arrays of such objects; JSON-RPC 2.0
	byRoute                 // method and path alone
)

var namings = [...]string{byJSONKey: "json-key", byJSONRPC: "json-rpc", byRoute: "route"}

// api is one API, compiled.
type api struct {
	name    string
	by      naming
	key     string // valid iff by is not byRoute
	keyID   int    // index into Set.keys
	whyKey  string
	exact   words[*Command]
	folded  map[string]*Command // by lower case; nil if case matters
	globs   []glob
	routes  node
	options *Command // nil: no command of its own
	other   *Command
}

// glob is a command whose name stands for many.
type glob struct {
	parts   [][]byte // what stands between the stars
	command *Command
}

// match reports whether name is the parts with anything between. Taking the
// first place where a part fits is right, since a star takes anything; hence
// no backtracking.
func (g *glob) match(name []byte) bool {
	last := len(g.parts) - 1
	if !bytes.HasPrefix(name, g.parts[0]) {
		return false
	}
	name = name[len(g.parts[0]):]
	for _, part := range g.parts[1:last] {
		i := bytes.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return bytes.HasSuffix(name, g.parts[last])
}

// find returns the command that v names, nil if the API has none such.
func (a *api) find(v *value) *Command {
	var buf [maxName]byte
	name, whole := v.decode(buf[:0])
	if !whole || v.cut || v.kind != KindString {
		return nil
	}
	if c, ok := a.exact.get(name); ok {
		return c
	}
	if a.folded != nil {
		if c := a.findFolded(name); c != nil {
			return c
		}
	}
	for i := range a.globs {
		if a.globs[i].match(name) {
			return a.globs[i].command
		}
	}
	return nil
}

// findFolded compares without regard to the case of ASCII letters, as HORNET
// does (plugins/webapi lower-cases `command`).
func (a *api) findFolded(name []byte) *Command {
	var buf [maxName]byte
	for i, c := range name {
		if c-'A' < 26 {
			c |= 0x20
		}
		buf[i] = c
	}
	return a.folded[string(buf[:len(name)])]
}
