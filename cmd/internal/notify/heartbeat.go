package notify

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

// The health of the capture is asked every healthEvery; CaptureBlind fires
// when it was bad blindAfter times in a row: one hiccup is no blindness.
const (
	healthEvery = 5 * time.Second
	blindAfter  = 3
)

// captureBlind is raised by the detectors too, about "capture": when packets
// stay away. Here it is about "monitor", whose health is more than packets;
// with one subject the end of one would hide the other.
const captureBlind = "CaptureBlind"

// watchHealth raises CaptureBlind, and resolves it.
func (n *Notifier) watchHealth() {
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	var bad int
	var firing *detect.Alert
	for {
		select {
		case <-n.quit:
			return
		case <-t.C:
		}
		err := n.opts.Healthy()
		switch {
		case err == nil:
			bad = 0
			if firing != nil {
				n.push(seesAgain(firing))
				firing = nil
			}
		default:
			if bad++; bad == blindAfter {
				firing = blind(err)
				n.push(firing)
			}
		}
	}
}

func blind(err error) *detect.Alert {
	now := capture.At(time.Now())
	return &detect.Alert{At: now, Since: now.Add(-(blindAfter - 1) * healthEvery), State: detect.Firing, Name: captureBlind, Severity: detect.Critical,
		Subject: "monitor", Confidence: 1, Why: clean(err.Error(), maxWords),
		Summary:  "the capture sees too little to be trusted: no alert does not mean that all is well",
		Evidence: detect.Evidence{CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1}}
}

func seesAgain(a *detect.Alert) *detect.Alert {
	c := *a
	c.At, c.State = capture.At(time.Now()), detect.Resolved
	c.Summary, c.Why = "the capture sees again", "healthy"
	return &c
}

// heartbeat fetches the URL as long as the capture is healthy. A failed ping
// is logged and not repeated before its time: the other side alarms when
// pings stay away, which is the point.
func (n *Notifier) heartbeat(ctx context.Context, h *Heartbeat) {
	client, err := newClient(&Receiver{Kind: Webhook}, n.opts.Timeout)
	redact := newRedactor([]Secret{h.URL})
	u, err2 := url.Parse(h.URL.reveal())
	if err != nil || err2 != nil {
		n.log.Error().Msg("no heartbeat: its URL is none")
		return
	}
	defer client.CloseIdleConnections()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-n.quit:
			stop()
		case <-ctx.Done():
		}
	}()
	t := time.NewTicker(orDuration(h.Every, DefaultHeartbeat))
	defer t.Stop()
	for tr := (&transport{client, redact}); ; {
		if n.opts.Healthy == nil || n.opts.Healthy() == nil {
			n.ping(ctx, tr, u)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (n *Notifier) ping(ctx context.Context, tr *transport, u *url.URL) {
	_, out := tr.do(ctx, &call{what: "heartbeat", method: http.MethodGet, url: u, header: http.Header{"User-Agent": {userAgent("", n.opts.Version)}}})
	if out.verdict != delivered && ctx.Err() == nil {
		n.log.Warn().Str("error", out.words).Msg("the heartbeat did not arrive")
	}
}
