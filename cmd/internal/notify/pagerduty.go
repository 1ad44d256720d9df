package notify

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// PagerDuty's limits in characters: Events API v2.
const (
	pagerSummary = 1024
	pagerSource  = 255
)

// pagerDuty sends an event for each change. The incident's fingerprint is its
// dedup_key: an event that arrives twice changes nothing.
type pagerDuty struct {
	transport
	url     *url.URL
	key     Secret
	speaker speaker
	agent   string
}

type pagerEvent struct {
	Key     string        `json:"routing_key"`
	Action  string        `json:"event_action"`
	Dedup   string        `json:"dedup_key"`
	Payload *pagerPayload `json:"payload,omitempty"`
	Links   []pagerLink   `json:"links,omitempty"`
}

type pagerPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Component string            `json:"component"`
	Class     string            `json:"class"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

type pagerLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

func (p *pagerDuty) calls(b *batch) []call {
	var list []call
	for _, c := range b.Changed {
		list = append(list, call{what: "event", method: http.MethodPost, url: p.url, body: encodeJSON(p.event(&c.Alert, b)),
			header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {p.agent}}})
	}
	return list
}

func (p *pagerDuty) event(a *detect.Alert, b *batch) pagerEvent {
	e := pagerEvent{Key: p.key.reveal(), Action: "trigger", Dedup: fingerprint(alertLabels(a, p.speaker.instance, 0))}
	if b.Test {
		e.Dedup += "-test"
	}
	if a.State == detect.Resolved {
		e.Action = "resolve"
		return e
	}
	k := p.speaker.card(a)
	title := k.Title + ": " + k.Summary
	if b.Test {
		title = "TEST " + title
	}
	e.Payload = &pagerPayload{Summary: cut(title, pagerSummary), Source: cut(p.source(a), pagerSource), Severity: text.Severity(a.Severity),
		Timestamp: instant(a.At).Format(time.RFC3339Nano), Component: a.Subject, Class: a.Name}
	if b.Plain {
		return e
	}
	e.Payload.Details = alertAnnotations(&k)
	if k.Runbook != "" {
		e.Links = append(e.Links, pagerLink{k.Runbook, "what this alert means"})
	}
	if link := p.speaker.links.Status; link != "" {
		e.Links = append(e.Links, pagerLink{link, "status page"})
	}
	return e
}

// source must not be empty.
func (p *pagerDuty) source(a *detect.Alert) string {
	for _, s := range []string{p.speaker.instance, serverOf(a)} {
		if s != "" {
			return s
		}
	}
	return "stallwatch"
}

func (p *pagerDuty) deliver(ctx context.Context, b *batch) outcome { return p.all(ctx, p.calls(b)) }
