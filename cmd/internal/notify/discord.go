package notify

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"stallwatch/detect"
)

// Discord's limits in characters: developer documentation, "Embed Limits" and
// "Execute Webhook". They are counted here in UTF-16 units, of which there
// are never fewer than characters.
const (
	discordContent     = 2000
	discordTitle       = 256
	discordDescription = 4096
	discordFieldName   = 256
	discordFieldValue  = 1024
	discordFields      = 25
	discordEmbeds      = 10
	discordSum         = 6000 // of all embeds
)

// The colours of embeds, of which the first and last are Alertmanager's.
const (
	colourCritical = 0x992D22
	colourWarning  = 0xE67E22
	colourInfo     = 0x3498DB
	colourOver     = 0x2ECC71
)

type discord struct {
	transport
	url     *url.URL // the webhook, without a query
	thread  string
	roles   []string
	speaker speaker
	agent   string
}

// discordMessage is the body of a webhook's execution and of an edit.
type discordMessage struct {
	Content  string         `json:"content"`
	Embeds   []discordEmbed `json:"embeds"`
	Mentions mentions       `json:"allowed_mentions"`
}

// mentions says who may be called. An empty parse list is what keeps text
// from calling anybody: without it a webhook's text may.
type mentions struct {
	Parse []string `json:"parse"`
	Roles []string `json:"roles,omitempty"`
}

type discordEmbed struct {
	Title       string         `json:"title,omitempty"`
	Description string         `json:"description,omitempty"`
	Color       int            `json:"color"`
	Timestamp   string         `json:"timestamp,omitempty"`
	Fields      []discordField `json:"fields,omitempty"`
	Footer      *discordFooter `json:"footer,omitempty"`
}

type discordField struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline,omitempty"`
}

type discordFooter struct {
	Text string `json:"text"`
}

// calls renders b: the message, new or edited, and for what became worse a
// second one, since an edit rings nowhere.
func (d *discord) calls(b *batch) []call {
	n := d.speaker.note(b)
	m := discordMessage{Embeds: d.embeds(&n), Mentions: mentions{Parse: []string{}}}
	if b.Plain {
		m = discordMessage{Content: cutUnits(markdown(n.plain(discordContent/2)), discordContent), Embeds: []discordEmbed{}, Mentions: m.Mentions}
	}
	if b.Message != "" {
		list := []call{d.call("edit", http.MethodPatch, "/messages/"+url.PathEscape(b.Message), &m)}
		if b.Worse {
			ring := discordMessage{Content: cutUnits(markdown(n.Title), discordContent-200), Embeds: []discordEmbed{}, Mentions: mentions{Parse: []string{}}}
			d.mention(&ring, &n)
			list = append(list, d.call("escalation", http.MethodPost, "", &ring))
		}
		return list
	}
	d.mention(&m, &n)
	return []call{d.call("post", http.MethodPost, "", &m)}
}

// mention calls the configured roles when something critical fires.
func (d *discord) mention(m *discordMessage, n *note) {
	if n.Worst < detect.Critical || len(d.roles) == 0 {
		return
	}
	m.Mentions.Roles = d.roles
	var ids []string
	for _, id := range d.roles {
		ids = append(ids, "<@&"+id+">")
	}
	m.Content = strings.TrimSpace(strings.Join(ids, " ") + " " + m.Content)
}

func (d *discord) call(what, method, path string, m *discordMessage) call {
	u := *d.url
	u.Path += path
	q := url.Values{}
	if method == http.MethodPost {
		q.Set("wait", "true")
	}
	if d.thread != "" {
		q.Set("thread_id", d.thread)
	}
	u.RawQuery = q.Encode()
	return call{what: what, method: method, url: &u, body: encodeJSON(m),
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {d.agent}}}
}

// discordUnknownMessage is the error code of an edit of a message that
// somebody deleted: the webhook itself is well.
const discordUnknownMessage = 10008

func (d *discord) deliver(ctx context.Context, b *batch) outcome {
	id := b.Message
	var wait time.Duration
	for _, c := range d.calls(b) {
		a, out := d.do(ctx, &c)
		wait = max(wait, out.wait)
		if out.verdict == stopped && c.method == http.MethodPatch && unknownMessage(a) {
			return outcome{verdict: retry, forget: true, words: "the message was deleted: a new one is posted"}
		}
		if out.verdict != delivered {
			return out
		}
		if c.what == "post" {
			id = messageID(a)
		}
	}
	return outcome{verdict: delivered, message: id, wait: wait}
}

func unknownMessage(a *answer) bool {
	var e struct{ Code int }
	return a != nil && a.status == http.StatusNotFound && decodeJSON(a.body, &e) && e.Code == discordUnknownMessage
}

// messageID reads the id of the message that was made; "" if the answer is of
// another form, and then the next batch makes a new one.
func messageID(a *answer) string {
	var m struct {
		ID string `json:"id"`
	}
	if !decodeJSON(a.body, &m) || len(m.ID) > 64 || strings.ContainsFunc(m.ID, func(r rune) bool { return r < '0' || r > '9' }) {
		return ""
	}
	return m.ID
}

// embeds makes an embed of each incident, the worst first, as many as the
// limits let; the rest are named in a last one.
func (d *discord) embeds(n *note) []discordEmbed {
	const reserve = 700 // for the last
	var list []discordEmbed
	left := discordSum - reserve
	shown := 0
	for i := range n.Cards {
		e := d.embed(n, &n.Cards[i], min(left, discordSum/2))
		if left -= e.units(); left < 0 || len(list) == discordEmbeds-1 {
			break
		}
		list = append(list, e)
		shown++
	}
	if shown == len(n.Cards) && n.Told == "" && n.Status == "" {
		return list
	}
	return append(list, d.last(n, n.Cards[shown:], reserve))
}

func (d *discord) last(n *note, rest []card, limit int) discordEmbed {
	var lines []string
	for i := range rest {
		lines = append(lines, markdown(rest[i].Title))
	}
	if n.Told != "" {
		lines = append([]string{markdown(n.Told)}, lines...)
	}
	if n.Status != "" {
		lines = append([]string{"[status page](" + n.Status + ")"}, lines...)
	}
	return discordEmbed{Color: colour(n.Worst), Description: joinLines(lines, limit)}
}

// joinLines joins as many lines as fit, whole: a cut could leave half an
// escape or an open link.
func joinLines(lines []string, limit int) string {
	var b strings.Builder
	used := 0
	for i, line := range lines {
		u := units(line) + 1
		if used+u > limit-20 {
			b.WriteString("and " + amount(float64(len(lines)-i), "more"))
			break
		}
		used += u
		b.WriteString(line + "\n")
	}
	return strings.TrimSpace(b.String())
}

// embed renders a card in at most limit units.
func (d *discord) embed(n *note, c *card, limit int) discordEmbed {
	e := discordEmbed{
		Title:       cutUnits(markdown(c.Title), discordTitle),
		Description: cutUnits(markdown(c.Summary), discordDescription/2),
		Color:       colour(c.severity),
		Timestamp:   instant(c.alert.At).Format(time.RFC3339),
		Footer:      &discordFooter{cutUnits("stallwatch "+d.speaker.instance, 100)},
	}
	add := func(name, value string, inline bool) {
		f := discordField{cutUnits(name, discordFieldName), cutUnits(value, discordFieldValue), inline}
		if len(e.Fields) < discordFields && f.Value != "" && e.units()+units(f.Name)+units(f.Value) <= limit {
			e.Fields = append(e.Fields, f)
		}
	}
	add("What to do", markdown(strings.Join(c.Next, "\n")), false)
	for _, f := range c.Facts {
		value := markdown(f.Value)
		if f.Name == "What" {
			value = codeSpan(f.Value)
		}
		add(f.Name, value, f.Short)
	}
	if c.Runbook != "" {
		add("Runbook", "[what this alert means]("+c.Runbook+")", false)
	}
	return e
}

// units counts what Discord's sum counts.
func (e *discordEmbed) units() int {
	n := units(e.Title) + units(e.Description)
	for _, f := range e.Fields {
		n += units(f.Name) + units(f.Value)
	}
	if e.Footer != nil {
		n += units(e.Footer.Text)
	}
	return n
}

func colour(s detect.Severity) int {
	switch s {
	case detect.Critical:
		return colourCritical
	case detect.Warning:
		return colourWarning
	case detect.Info:
		return colourInfo
	}
	return colourOver
}

// markdown escapes text so that Discord shows it as it is: no emphasis, code,
// quote, spoiler, list or heading, no mention, emoji or time stamp (<), no
// link (the colon of https://).
func markdown(s string) string {
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if strings.IndexByte("\\*_~|`<>[]()#@:-", s[i]) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(b)
}

// codeSpan shows s as code. A backtick cannot be escaped there.
func codeSpan(s string) string {
	return "`" + cutUnits(strings.ReplaceAll(s, "`", "'"), discordFieldValue-2) + "`"
}

// units is the length of s in UTF-16 units.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// cutUnits returns at most limit units of s. It splits no character, and no
// escape: a backslash left alone at the end would escape what follows.
func cutUnits(s string, limit int) string {
	if units(s) <= limit {
		return s
	}
	n, at := 0, 0
	for i, r := range s {
		if n += max(utf16.RuneLen(r), 1); n > limit-len(cutMark) {
			at = i
			break
		}
	}
	s = s[:at]
	if trail := len(s) - len(strings.TrimRight(s, `\`)); trail%2 == 1 {
		s = s[:len(s)-1]
	}
	return s + cutMark
}
