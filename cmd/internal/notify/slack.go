package notify

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Slack's limits in characters: Block Kit reference. Escapes count.
const (
	slackText    = 3000 // of a section, and here of the fallback
	slackHeader  = 150
	slackField   = 2000
	slackFields  = 10
	slackBlocks  = 50
	slackContext = 1000
)

// slackIncidents bounds the incidents of a message: with six blocks each they
// stay below slackBlocks.
const slackIncidents = 7

type slack struct {
	transport
	url     *url.URL
	speaker speaker
	agent   string
}

type slackMessage struct {
	Text        string            `json:"text"` // what a telephone shows
	Markdown    bool              `json:"mrkdwn"`
	Parse       string            `json:"parse"`
	LinkNames   int               `json:"link_names"`
	UnfurlLinks bool              `json:"unfurl_links"`
	UnfurlMedia bool              `json:"unfurl_media"`
	Attachments []slackAttachment `json:"attachments,omitempty"`
}

// slackAttachment is there for its colour: blocks have none.
type slackAttachment struct {
	Color    string       `json:"color"`
	Fallback string       `json:"fallback"`
	Blocks   []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackObj   `json:"text,omitempty"`
	Fields   []*slackObj `json:"fields,omitempty"`
	Elements []*slackObj `json:"elements,omitempty"`
}

type slackObj struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"`
}

func (s *slack) calls(b *batch) []call {
	n := s.speaker.note(b)
	title := entities(n.Title, slackHeader)
	m := slackMessage{Text: title, Parse: "none"}
	if b.Plain {
		m.Text = entities(n.plain(slackText), slackText)
	} else {
		m.Attachments = []slackAttachment{{Color: fmt.Sprintf("#%06X", colour(n.Worst)), Fallback: title, Blocks: s.blocks(&n)}}
	}
	return []call{{what: "post", method: http.MethodPost, url: s.url, body: encodeJSON(m),
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {s.agent}}}}
}

func (s *slack) deliver(ctx context.Context, b *batch) outcome { return s.all(ctx, s.calls(b)) }

// blocks tell what changed: Slack's webhooks cannot edit, and what was told
// before stands above.
func (s *slack) blocks(n *note) []slackBlock {
	var list []slackBlock
	more := 0
	for i := range n.Cards {
		c := &n.Cards[i]
		if !c.changed {
			continue
		}
		if len(list) > 0 && len(list) >= slackBlocks-8 || i >= slackIncidents {
			more++
			continue
		}
		list = append(list, s.card(c)...)
	}
	var foot []string
	if more > 0 {
		foot = append(foot, fmt.Sprintf("and %d more incidents", more))
	}
	if n.Told != "" {
		foot = append(foot, entities(n.Told, 200))
	}
	if n.Status != "" {
		foot = append(foot, slackLink(n.Status, "status page"))
	}
	if len(foot) > 0 {
		list = append(list, slackBlock{Type: "context", Elements: []*slackObj{{Type: "mrkdwn", Text: strings.Join(foot, " - ")}}})
	}
	return list
}

func (s *slack) card(c *card) []slackBlock {
	list := []slackBlock{
		{Type: "header", Text: plainText(c.Title, slackHeader)},
		{Type: "section", Text: plainText(c.Summary, slackText)},
	}
	var short, long []string
	for _, f := range c.Facts {
		line := f.Name + ": " + f.Value
		if f.Short {
			short = append(short, line)
		} else {
			long = append(long, line)
		}
	}
	if len(short) > 0 {
		b := slackBlock{Type: "section"}
		for _, line := range short[:min(len(short), slackFields)] {
			b.Fields = append(b.Fields, plainText(line, slackField))
		}
		list = append(list, b)
	}
	for _, group := range [][]string{long, c.Next} {
		if len(group) > 0 {
			list = append(list, slackBlock{Type: "section", Text: plainText(strings.Join(group, "\n"), slackText)})
		}
	}
	if c.Runbook != "" {
		list = append(list, slackBlock{Type: "context", Elements: []*slackObj{{Type: "mrkdwn", Text: slackLink(c.Runbook, "what this alert means")}}})
	}
	return list
}

// plainText is shown as it is: no emphasis, no links, no emoji.
func plainText(s string, limit int) *slackObj {
	no := false
	if s = strings.TrimSpace(s); s == "" {
		s = "-" // an empty text is refused
	}
	return &slackObj{Type: "plain_text", Text: entities(s, limit), Emoji: &no}
}

func slackLink(link, text string) string {
	return "<" + entities(strings.ReplaceAll(link, "|", "%7C"), slackContext) + "|" + text + ">"
}

// entities escapes the three characters of Slack's markup, of which <!channel>
// calls everybody, in at most limit characters; no escape is cut in half.
func entities(s string, limit int) string {
	var b strings.Builder
	n, keep := 0, 0
	for _, r := range s {
		piece := string(r)
		switch r {
		case '&':
			piece = "&amp;"
		case '<':
			piece = "&lt;"
		case '>':
			piece = "&gt;"
		}
		if n+units(piece) > limit {
			return b.String()[:keep] + cutMark
		}
		n += units(piece)
		b.WriteString(piece)
		if n <= limit-len(cutMark) {
			keep = b.Len()
		}
	}
	return b.String()
}
