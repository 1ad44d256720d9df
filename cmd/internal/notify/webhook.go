package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"time"

	"stallwatch/detect"
)

// SignatureHeader carries "sha256=" and the HMAC-SHA256 of a webhook's body
// in hex, under the key of hmac_file.
const SignatureHeader = "X-Stallwatch-Signature"

// IdempotencyHeader carries the message's id, which is the same for each
// attempt to deliver it.
const IdempotencyHeader = "Idempotency-Key"

// webhook speaks what Alertmanager's own webhook speaks, version 4, so that
// every bridge that exists understands it.
type webhook struct {
	transport
	url     *url.URL
	key     Secret
	header  http.Header
	name    string
	speaker speaker
}

type webhookMessage struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []webhookAlert    `json:"alerts"`
}

type webhookAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// neverEnds is how Go's zero time looks in JSON: Alertmanager's word for an
// alert that fires.
const neverEnds = "0001-01-01T00:00:00Z"

// webhookAlerts bounds the alerts of a message; truncatedAlerts tells of more.
const webhookAlerts = 64

func (w *webhook) calls(b *batch) []call {
	m := w.message(b)
	body := encodeJSON(m)
	h := w.header.Clone()
	h.Set(IdempotencyHeader, b.ID)
	if !w.key.empty() {
		h.Set(SignatureHeader, sign(w.key, body))
	}
	return []call{{what: "post", method: http.MethodPost, url: w.url, body: body, header: h}}
}

func sign(key Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key.reveal()))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (w *webhook) deliver(ctx context.Context, b *batch) outcome { return w.all(ctx, w.calls(b)) }

func (w *webhook) message(b *batch) *webhookMessage {
	m := &webhookMessage{Version: "4", GroupKey: "{}:{instance=\"" + b.Group + "\"}", Status: "firing", Receiver: w.name,
		GroupLabels: map[string]string{"instance": b.Group}, ExternalURL: w.speaker.links.Status, CommonAnnotations: map[string]string{}}
	if b.Over {
		m.Status = "resolved"
	}
	for i, c := range b.Changed {
		if i == webhookAlerts {
			m.TruncatedAlerts = len(b.Changed) - i
			break
		}
		m.Alerts = append(m.Alerts, w.alert(&c.Alert, b))
	}
	if n := w.speaker.note(b); n.Told != "" {
		m.CommonAnnotations["dropped"] = n.Told
	}
	m.CommonLabels = common(m.Alerts)
	return m
}

func (w *webhook) alert(a *detect.Alert, b *batch) webhookAlert {
	k := w.speaker.card(a)
	o := webhookAlert{Status: "firing", Labels: alertLabels(a, w.speaker.instance, a.Severity), Annotations: alertAnnotations(&k),
		StartsAt: instant(a.Since).Format(time.RFC3339Nano), EndsAt: neverEnds, GeneratorURL: w.speaker.links.Status}
	if b.Plain {
		o.Annotations = map[string]string{"summary": a.Summary}
	}
	if b.Test {
		o.Labels["test"] = "true"
	}
	if a.State == detect.Resolved {
		o.Status, o.EndsAt = "resolved", instant(a.At).Format(time.RFC3339Nano)
	}
	o.Fingerprint = fingerprint(o.Labels)
	return o
}

// common are the labels that all alerts share.
func common(alerts []webhookAlert) map[string]string {
	m := map[string]string{}
	if len(alerts) == 0 {
		return m
	}
	for k, v := range alerts[0].Labels {
		m[k] = v
	}
	for i := range alerts[1:] {
		for k, v := range m {
			if alerts[i+1].Labels[k] != v {
				delete(m, k)
			}
		}
	}
	return m
}
