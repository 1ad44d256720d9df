package notify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// keepResolved is how long a resolved alert is repeated to Alertmanager, as
// its clients' guide asks: one instance may have missed it.
const keepResolved = 5 * time.Minute

// resendsTillEnd is how many resends may get lost before Alertmanager takes a
// firing alert for resolved.
const resendsTillEnd = 4

// alertLabels are what identifies an alert to Alertmanager: the same for each
// of its changes, hence without the client, who may be another one an hour
// later. Alertmanager routes by severity, though, and so that is a label, and an
// incident that becomes worse is another alert there: see ended.
func alertLabels(a *detect.Alert, instance string, severity detect.Severity) map[string]string {
	l := map[string]string{"alertname": a.Name, "severity": text.Severity(severity), "subject": a.Subject, "job": "stallwatch"}
	for k, v := range map[string]string{"monitor": instance, "instance": serverOf(a), "command": a.Command} {
		if v != "" {
			l[k] = v
		}
	}
	return l
}

func alertAnnotations(c *card) map[string]string {
	m := map[string]string{"summary": c.Summary}
	var lines []string
	for _, f := range c.Facts {
		lines = append(lines, f.Name+": "+f.Value)
	}
	m["description"] = strings.Join(lines, "\n")
	if len(c.Next) > 0 {
		m["what_to_do"] = strings.Join(c.Next, "\n")
	}
	if client := clientOf(c.alert); client != "" {
		m["client"] = client
	}
	if c.Runbook != "" {
		m["runbook_url"] = c.Runbook
	}
	if c.alert.Confidence > 0 {
		m["confidence"] = strconv.FormatFloat(c.alert.Confidence, 'f', 2, 64)
	}
	return m
}

// fingerprint is Alertmanager's notion of an alert's identity; the algorithm
// is ours, bridges only compare it.
func fingerprint(labels map[string]string) string {
	h := sha256.New()
	for _, k := range sortedKeys(labels) {
		if k != "severity" {
			fmt.Fprintf(h, "%s\xff%s\xff", k, labels[k])
		}
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(h.Sum(nil))))
}

type alertmanager struct {
	transport
	urls    []*url.URL // of /api/v2/alerts
	resend  time.Duration
	header  http.Header
	speaker speaker
	now     func() time.Time
}

// postedAlert is an element of POST /api/v2/alerts.
type postedAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func (m *alertmanager) every() time.Duration { return m.resend }

func (m *alertmanager) calls(b *batch) []call { return m.render(b.Changed, b.Plain, b.Test) }

func (m *alertmanager) render(changes []*change, plain, test bool) []call {
	list := make([]postedAlert, 0, len(changes))
	for _, c := range changes {
		p := m.posted(&c.Alert, plain, test)
		list = m.ended(append(list, p), &p, c.Alert.Severity)
	}
	body := encodeJSON(list)
	calls := make([]call, 0, len(m.urls))
	for _, u := range m.urls {
		calls = append(calls, call{what: "post", method: http.MethodPost, url: u, body: body, header: m.header})
	}
	return calls
}

func (m *alertmanager) posted(a *detect.Alert, plain, test bool) postedAlert {
	k := m.speaker.card(a)
	p := postedAlert{Labels: alertLabels(a, m.speaker.instance, a.Severity), Annotations: alertAnnotations(&k),
		StartsAt: instant(a.Since).Format(time.RFC3339Nano), GeneratorURL: m.speaker.links.Status}
	if plain {
		p.Annotations, p.GeneratorURL = map[string]string{"summary": a.Summary}, ""
	}
	if test {
		p.Labels["test"] = "true"
	}
	// A replayed or badly set clock must not end an alert before it begins.
	ends := m.now().Add(resendsTillEnd * m.resend)
	if a.State == detect.Resolved {
		ends = instant(a.At)
		if now := m.now(); ends.After(now) {
			ends = now
		}
	}
	if starts := instant(a.Since); ends.Before(starts) {
		p.StartsAt = ends.Format(time.RFC3339Nano)
	}
	p.EndsAt = ends.UTC().Format(time.RFC3339Nano)
	return p
}

// ended adds the less severe alerts that the incident of p was before, as over:
// left to their endsAt they would fire beside the worse one, and, where that is
// resolved soon, after it. An incident only ever becomes worse. One that never
// was less severe costs nothing: Alertmanager tells nobody that an alert is
// over which it did not know to fire. It is repeated like the rest, since the
// first message may have got lost.
func (m *alertmanager) ended(list []postedAlert, p *postedAlert, severity detect.Severity) []postedAlert {
	now := m.now().UTC().Format(time.RFC3339Nano)
	for s := detect.Info; s < severity; s++ {
		old := *p
		old.Labels = maps.Clone(p.Labels)
		old.Labels["severity"] = text.Severity(s)
		// Alertmanager keeps the start that it knows, and refuses one that
		// is later than the end.
		old.StartsAt, old.EndsAt = now, now
		list = append(list, old)
	}
	return list
}

func (m *alertmanager) deliver(ctx context.Context, b *batch) outcome { return m.any(ctx, m.calls(b)) }

func (m *alertmanager) refresh(ctx context.Context, all []*change) outcome {
	return m.any(ctx, m.render(all, false, false))
}

// any posts to every Alertmanager; one that takes it is enough, since they
// gossip, and the others get it with the next resend.
func (m *alertmanager) any(ctx context.Context, calls []call) outcome {
	var best outcome
	for i := range calls {
		_, out := m.do(ctx, &calls[i])
		if best.verdict == 0 || out.verdict < best.verdict {
			best = out
		}
	}
	return best
}
