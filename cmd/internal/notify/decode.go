package notify

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"stallwatch/rules"
)

// maxConfig bounds a configuration file in bytes, maxErrors what is told of
// it at once.
const (
	maxConfig = 256 << 10
	maxErrors = 20
)

// ConfigError is what is wrong at a place of a configuration file.
type ConfigError struct {
	File         string
	Line, Column int // 1-based; 0 if the whole file is meant
	Message      string
	Hint         string // what to do instead; may be empty
}

// Error returns "file:line:column: message (hint)".
func (e *ConfigError) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d", s, e.Line, e.Column)
	}
	s += ": " + e.Message
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// decoder turns a file into a Config and gathers what is wrong with it.
type decoder struct {
	file string
	tree *ast.File
	errs []error
}

// decode is strict: a key that is not known is an error, since a misspelt
// min_severity would silently be none.
func (d *decoder) decode(data []byte, f *file) {
	if len(data) > maxConfig {
		d.fail("", "", "larger than %d bytes", maxConfig)
		return
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.yaml(err)
		return
	}
	d.tree = tree
	if len(tree.Docs) > 1 {
		d.fail("", "use one file", "more than one document")
		return
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return
	}
	if err := yaml.NodeToValue(tree.Docs[0].Body, f, yaml.Strict()); err != nil {
		d.yaml(err)
	}
}

func (d *decoder) yaml(err error) {
	e := &ConfigError{File: d.file, Message: clean(err.Error(), maxWords)}
	var y yaml.Error
	if errors.As(err, &y) {
		e.Message = clean(y.GetMessage(), maxWords)
		if tk := y.GetToken(); tk != nil && tk.Position != nil {
			e.Line, e.Column = tk.Position.Line, tk.Position.Column
		}
	}
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		e.Message = fmt.Sprintf("want a value of type %s", wrong.DstType)
		e.Hint = "within braces a URL needs quotes"
	}
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) && unknown.Token != nil {
		e.Message = fmt.Sprintf("unknown key %q", brief(unknown.Token.Value))
		e.Hint = "known here: " + strings.Join(d.keysAt(e.Line, e.Column), ", ")
		if near := rules.Nearest(unknown.Token.Value, knownKeys(), 5); near != "" {
			e.Hint = "did you mean " + near + "?"
		}
	}
	d.errs = append(d.errs, e)
}

func knownKeys() []string {
	var keys []string
	for _, t := range []reflect.Type{reflect.TypeFor[file](), reflect.TypeFor[fileReceiver](), reflect.TypeFor[fileLinks](), reflect.TypeFor[fileHeartbeat]()} {
		keys = append(keys, fieldsOf(t)...)
	}
	return keys
}

// keysAt are the keys that may stand at a place: those of the mapping that the
// last key at the margin above it holds.
func (d *decoder) keysAt(line, column int) []string {
	var above string
	if root, ok := d.tree.Docs[0].Body.(*ast.MappingNode); ok && column > 1 {
		for _, v := range root.Values {
			if tk := v.Key.GetToken(); tk != nil && tk.Position != nil && tk.Position.Line <= line {
				above = tk.Value
			}
		}
	}
	switch above {
	case "receivers":
		return fieldsOf(reflect.TypeFor[fileReceiver]())
	case "links":
		return fieldsOf(reflect.TypeFor[fileLinks]())
	case "heartbeat":
		return fieldsOf(reflect.TypeFor[fileHeartbeat]())
	}
	return fieldsOf(reflect.TypeFor[file]())
}

// fieldsOf are the keys of a mapping, in the order in which they are documented.
func fieldsOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}

// fail notes what is wrong at a YAML path, or at the nearest place above it
// that the file has.
func (d *decoder) fail(path, hint, format string, args ...any) {
	if len(d.errs) >= maxErrors {
		return
	}
	e := &ConfigError{File: d.file, Message: fmt.Sprintf(format, args...), Hint: hint}
	for ; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if e.Line, e.Column = d.position(path); e.Line > 0 {
			break
		}
	}
	d.errs = append(d.errs, e)
}

func (d *decoder) position(path string) (line, column int) {
	p, err := yaml.PathString(path)
	if err != nil || d.tree == nil {
		return 0, 0
	}
	n, err := p.FilterFile(d.tree)
	if err != nil || n == nil {
		return 0, 0
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return tk.Position.Line, tk.Position.Column
	}
	return 0, 0
}

func (d *decoder) duration(path, s string, fallback, least, most time.Duration) time.Duration {
	if s == "" {
		return fallback
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < least || v > most {
		d.fail(path, fmt.Sprintf("a time with its unit from %s to %s, as in 30s", least, most), "no usable duration %q", brief(s))
	}
	return v
}

func (d *decoder) oneOf(path, s string, names []string) string {
	if s == "" || slices.Contains(names, s) {
		return s
	}
	hint := "known: " + strings.Join(names, ", ")
	if near := rules.Nearest(s, names, 3); near != "" {
		hint = "did you mean " + near + "?"
	}
	d.fail(path, hint, "unknown %s %q", path[strings.LastIndexByte(path, '.')+1:], brief(s))
	return ""
}

func (d *decoder) plain(path, s string, limit int) string {
	if len(s) > limit || clean(s, limit) != s {
		d.fail(path, "", "want at most %d printable characters", limit)
		return ""
	}
	return s
}

func (d *decoder) link(path, s string) string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(s) > 512 || strings.ContainsAny(s, " <>()\"'`|\\") {
		d.fail(path, "as in https://node.example/stallwatch/, without a password", "no usable link")
		return ""
	}
	return s
}

type need bool

const (
	optional need = false
	required need = true
)

// secret reads what the keys NAME_file and NAME_env of the mapping at path
// point to.
func (d *decoder) secret(path, name, file, env string, n need) Secret {
	if file == "" && env == "" {
		if n == required {
			d.fail(path, fmt.Sprintf("add %s_file: a file of mode 0600, or %s_env: a variable", name, name), "no %s", name)
		}
		return Secret{}
	}
	s, err := readSecret(file, env)
	if err != nil {
		key := name + "_file"
		if file == "" {
			key = name + "_env"
		}
		d.fail(path+"."+key, "", "%s: %s", key, clean(err.Error(), maxWords))
	}
	return s
}

// checkURL never shows the URL: it is the secret.
func (d *decoder) checkURL(path string, k Kind, host string, s Secret) {
	if s.empty() {
		return
	}
	if _, err := parseTarget(k, host, s); err != nil {
		d.fail(path, "", "%s", err)
	}
}

func (d *decoder) noCredentials(path string, urls []string) {
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil && (u.User != nil || u.RawQuery != "") {
			d.fail(path, "use user and password_file, token_file, or url_file", "credentials in a URL of the file")
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// brief is a piece of the file, fit for one line of a terminal.
func brief(s string) string { return clean(s, 48) }
