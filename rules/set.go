package rules

import (
	"fmt"
	"time"
)

// Set is the commands of all packs, compiled. It does not change after it is
// loaded and is safe for concurrent use.
type Set struct {
	commands   []*Command
	apis       []*api // the ones Classify asks, in order
	fallback   *api   // whose Other names what nothing else does
	params     []param
	byName     words[uint8] // index into params; 255 - index into keys above maxParams
	keys       []string     // the JSON keys that name commands
	versionKey int          // index into keys; valid iff an API is byJSONRPC
	classes    [len(classNames)]struct{ warn, critical time.Duration }
	settings   []Setting
	alerts     []*AlertRule
	sources    []Source // to show the lines of errors that are found later
	all        *Set     // what Select chooses from
	digest     string
}

// Commands returns the closed set of commands, by Index. A Set that Select
// returned has the same, so that an index means the same everywhere.
func (s *Set) Commands() []*Command { return s.commands }

// Digest identifies the effective commands and free rules: the first 8 bytes of
// a SHA-256, in hex. The same ones have the same digest, whatever files they
// came from. Settings of detectors are not in it: this package knows neither
// their defaults nor which texts mean the same value.
func (s *Set) Digest() string { return s.digest }

// Auto is the name Select knows for all APIs at once.
const Auto = "auto"

// APIs returns the names Select knows, Auto excepted.
func (s *Set) APIs() []string {
	names := make([]string, len(s.all.apis))
	for i, a := range s.all.apis {
		names[i] = a.name
	}
	return names
}

// Key returns the JSON key that names the commands of the API name; "" if
// they are named by method and path, or there is no such API.
func (s *Set) Key(name string) string {
	for _, a := range s.all.apis {
		if a.name == name {
			return a.key
		}
	}
	return ""
}

// Select returns a view of the Set that asks the one API name, or for Auto or
// "" each in turn, by what a request looks like.
func (s *Set) Select(name string) (*Set, error) {
	if name == Auto || name == "" {
		return s.all, nil
	}
	for _, a := range s.all.apis {
		if a.name == name {
			view := *s.all
			view.apis = []*api{a}
			view.fallback = a
			return &view, nil
		}
	}
	return nil, fmt.Errorf("unknown API %q: %s", name, Hint(name, append(s.APIs(), Auto)))
}
