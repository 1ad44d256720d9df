package demo

import (
	"encoding/json"
	"fmt"
	"time"
)

// NoteKind says what happened to a node.
type NoteKind uint8

// What a node tells of itself, in the order of a life.
const (
	Unknown          NoteKind = iota
	Listening                 // Text is the address
	OutOfDescriptors          // accept failed with EMFILE for the first time
	Dead                      // Text is what it died of
)

var noteNames = [...]string{"unknown", "listening", "out_of_descriptors", "dead"}

// String names the kind.
func (k NoteKind) String() string {
	if int(k) < len(noteNames) {
		return noteNames[k]
	}
	return noteNames[Unknown]
}

// MarshalText writes the name.
func (k NoteKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *NoteKind) UnmarshalText(text []byte) error {
	for i, name := range noteNames {
		if name == string(text) {
			*k = NoteKind(i)
			return nil
		}
	}
	return fmt.Errorf("no note is named %q", text)
}

// Note is what a node's process tells its parent, a JSON object a line.
type Note struct {
	Time time.Time `json:"time"`
	Kind NoteKind  `json:"note"`
	Text string    `json:"text,omitempty"`
}

// line encodes a note, stamped now if it has no time.
func (n Note) line() []byte {
	if n.Time.IsZero() {
		n.Time = time.Now().UTC()
	}
	b, err := json.Marshal(n)
	if err != nil {
		panic("demo: a note is not JSON: " + err.Error())
	}
	return append(b, '\n')
}
