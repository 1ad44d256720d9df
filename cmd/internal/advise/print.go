package advise

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

var places = [...]string{
	Note:            "",
	Shell:           "In a root shell:",
	HAProxyTop:      "At the end of " + haproxyFile + ":",
	HAProxyFrontend: "In the API's frontend in " + haproxyFile + ", right below its bind lines:",
	NginxHTTP:       "In nginx.conf, inside http { }:",
	NginxServer:     "In the server { } block of the API:",
	NginxScript:     "In the new file /etc/nginx/stallwatch.js:",
	IRIConfig:       "In iri.ini, below [IRI]:",
}

// String says to a person where a Part goes.
func (w Where) String() string {
	if int(w) >= len(places) {
		return ""
	}
	return places[w]
}

// width is where prose is broken: a terminal's usual 80 columns, with room
// for the label in front.
const width = 72

// Write prints sections for people. Whatever they say, nothing was applied.
func Write(w io.Writer, sections []Section) error {
	var b bytes.Buffer
	b.WriteString("Nothing of this was applied. Read the cost, then choose.\n")
	for i := range sections {
		s := &sections[i]
		fmt.Fprintf(&b, "\n%d. %s  [%s]\n", i+1, s.Title, s.ID)
		for _, p := range s.Parts {
			if p.Where == Note {
				for line := range strings.Lines(p.Text) {
					prose(&b, "   ", strings.TrimSpace(line))
				}
				continue
			}
			fmt.Fprintf(&b, "\n   %s\n\n%s", p.Where, p.Text)
		}
		if s.Undo != "" {
			b.WriteByte('\n')
		}
		if s.Apply != "" {
			fmt.Fprintf(&b, "   Apply: %s\n", s.Apply)
		}
		if s.Undo != "" {
			fmt.Fprintf(&b, "   Undo:  %s\n", s.Undo)
		}
		if s.Cost != "" {
			prose(&b, "   Cost:  ", s.Cost)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// prose writes words with breaks, label before the first line.
func prose(b *bytes.Buffer, label, words string) {
	indent := strings.Repeat(" ", len(label))
	line := 0
	b.WriteString(label)
	for i, w := range strings.Fields(words) {
		switch {
		case i == 0:
		case line+1+len(w) > width:
			b.WriteString("\n" + indent)
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(w)
		line += len(w)
	}
	b.WriteByte('\n')
}
