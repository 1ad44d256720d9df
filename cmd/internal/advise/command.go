package advise

import (
	"fmt"
	"regexp"
	"strings"

	"stallwatch/cmd/internal/text"
	"stallwatch/rules"
)

// The forms that the name of a command may have. Rule files are the
// operator's, but what comes out of this package is pasted into a root shell,
// so the closed set alone is not enough.
var (
	plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,63}[*]?$`)
	routeName = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE|ANY) (/[A-Za-z0-9_.{}*/-]{0,127})$`)
)

// command is a command and how a proxy recognises it.
type command struct {
	*rules.Command
	method, path string // of a route; method is "" for any
	key          string // of a JSON body: "command" or "method"
}

// findCommand looks in.Command up.
func findCommand(in *Input) (*command, error) {
	set := in.Rules
	if set == nil {
		set = rules.Default()
	}
	var names []string
	for _, c := range set.Commands() {
		if in.API == "" || c.API == in.API {
			names = append(names, c.Name)
		}
		if c.Name != in.Command || in.API != "" && c.API != in.API {
			continue
		}
		if c.Name == rules.Other || c.Name == "OPTIONS" || c.Name == "*.*" {
			return nil, fmt.Errorf("command %q: it is no single command, so nothing can reject it by name", c.Name)
		}
		if m := routeName.FindStringSubmatch(c.Name); m != nil {
			if m[1] == "ANY" {
				m[1] = ""
			}
			return &command{Command: c, method: m[1], path: m[2]}, nil
		}
		if !plainName.MatchString(c.Name) {
			return nil, fmt.Errorf("command %q: its name has characters that are not safe in a configuration", text.Escape(c.Name))
		}
		key := set.Key(c.API)
		if !plainName.MatchString(key) {
			return nil, fmt.Errorf("command %q: the key %q that names it has characters that are not safe in a configuration", c.Name, text.Escape(key))
		}
		return &command{Command: c, key: key}, nil
	}
	return nil, fmt.Errorf("command %q: the rules know none of that name%s; see the packs for the names there are", text.Escape(in.Command), near(in.Command, names))
}

// body returns the regular expression, as both PCRE and POSIX read it, for a
// JSON body that names the command.
func (c *command) body() string {
	return `"` + c.key + `"[[:space:]]*:[[:space:]]*"` + strings.NewReplacer(".", "[.]", "*", "[A-Za-z0-9_]*").Replace(c.Name) + `"`
}

// prefix returns the beginning of the names that a family of commands, such
// as eth_*, stands for; ok is false for a single command.
func (c *command) prefix() (name string, ok bool) { return strings.CutSuffix(c.Name, "*") }

// route returns the regular expression of a route's path.
func (c *command) route() string {
	var b strings.Builder
	b.WriteByte('^')
	for i, part := range strings.Split(c.path, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		switch {
		case part == "*":
			b.WriteString(".*")
		case strings.HasPrefix(part, "{"):
			b.WriteString("[^/]+")
		default:
			b.WriteString(strings.ReplaceAll(part, ".", "[.]"))
		}
	}
	b.WriteByte('$')
	return b.String()
}

// ident is the command's name in names of our own.
func (c *command) ident() string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, c.Name)
}

// job reports whether the command is work that the node does for the client,
// as proof of work.
func (c *command) job() bool { return c.Class == rules.ClassJob || c.Pow }
