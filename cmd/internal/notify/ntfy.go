package notify

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"

	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// ntfy's limits in bytes: a longer message becomes an attachment, longer
// titles and tags are refused.
const (
	ntfyMessage = 4096
	ntfyTitle   = 1024
)

// ntfy publishes as JSON to the server's root: no header carries text, so no
// text can make a header.
type ntfy struct {
	transport
	root    *url.URL
	topic   string
	header  http.Header
	speaker speaker
}

type ntfyPost struct {
	Topic    string   `json:"topic"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority int      `json:"priority"`
	Tags     []string `json:"tags,omitempty"`
	Click    string   `json:"click,omitempty"`
	Markdown bool     `json:"markdown"`
}

// splitTopic parts https://host/base/topic into the root and the topic.
func splitTopic(u *url.URL) (root *url.URL, topic string) {
	r := *u
	r.RawQuery, r.Fragment = "", ""
	dir, topic := path.Split(strings.TrimRight(u.Path, "/"))
	r.Path = dir
	return &r, topic
}

func (n *ntfy) calls(b *batch) []call {
	m := n.speaker.note(b)
	p := ntfyPost{Topic: n.topic, Title: cut(m.Title, ntfyTitle/2), Message: changedOnly(&m).plain(ntfyMessage - 96), Priority: ntfyPriority(&m),
		Tags: []string{"white_check_mark"}, Click: m.Status}
	if !m.Over {
		p.Tags = []string{"rotating_light", text.Severity(m.Worst)}
	}
	if b.Plain {
		p = ntfyPost{Topic: n.topic, Title: "stallwatch", Message: cut(m.Title, ntfyTitle/2), Priority: p.Priority}
	}
	return []call{{what: "post", method: http.MethodPost, url: n.root, body: encodeJSON(p), header: n.header}}
}

func (n *ntfy) deliver(ctx context.Context, b *batch) outcome { return n.all(ctx, n.calls(b)) }

// ntfyPriority: 5 rings through a telephone's silence, 3 is usual.
func ntfyPriority(n *note) int {
	switch {
	case n.Over || n.Worst == detect.Info:
		return 2
	case n.Worst == detect.Critical:
		return 5
	}
	return 4
}

// changedOnly is the note without what was told before.
func changedOnly(n *note) *note {
	c := *n
	c.Cards = nil
	for _, k := range n.Cards {
		if k.changed {
			c.Cards = append(c.Cards, k)
		}
	}
	return &c
}
