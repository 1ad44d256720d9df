package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
	"stallwatch/rules"
)

// step is a message of a test.
type step struct {
	name string
	b    batch
}

// steps are the life of a marked incident: it fires, becomes worse, and is
// resolved. The client's address is from a block for documentation (RFC
// 5737), so that nobody is banned by accident.
func steps(now time.Time, instance string) []step {
	at := capture.At(now)
	a := detect.Alert{At: at, Since: at.Add(-15 * time.Second), State: detect.Firing, Name: "CallStalled", Severity: detect.Warning,
		Subject: strings.TrimSpace("test " + instance), Server: netip.MustParseAddrPort("192.0.2.10:14265"), Client: detect.ClientOf(netip.MustParseAddr("203.0.113.66")),
		Command: "getTransactionsToApprove", Value: 15, Limit: 10, Unit: "seconds", Confidence: 1,
		Summary: "TEST, nothing is wrong: stallwatch notify test shows what an alert looks like",
		Why:     "somebody ran stallwatch notify test",
		Evidence: detect.Evidence{InFlight: 3, CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: 512, FDLimit: 4096,
			Clients: []detect.ClientCount{{Client: detect.ClientOf(netip.MustParseAddr("203.0.113.66")), N: 3}}}}
	a = Sanitized(&a)
	worse, over := a, a
	worse.At, worse.Severity, worse.Summary = at.Add(time.Second), detect.Critical, "TEST, nothing is wrong: the same incident, worse"
	over.At, over.Severity, over.State, over.Summary = at.Add(2*time.Second), detect.Critical, detect.Resolved, "TEST, nothing is wrong: the same incident, resolved"
	over.Evidence = detect.Evidence{CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1}
	list := []step{{name: "fire"}, {name: "escalate"}, {name: "resolve"}}
	for i, alert := range []detect.Alert{a, worse, over} {
		c := &change{Seq: uint64(i + 1), Queued: now, Opens: i == 0, Alert: alert}
		list[i].b = batch{ID: fmt.Sprintf("test-%d-%d", now.UnixNano(), i), Group: "test", Changed: []*change{c}, All: []*change{c},
			Worse: i < 2, Over: i == 2, Test: true}
	}
	return list
}

// ErrReceiver says that a configuration has no receiver of a name.
var ErrReceiver = errors.New("no receiver")

// pick returns the receivers to try: the one named, or all.
func pick(c *Config, name string) ([]*Receiver, error) {
	var list []*Receiver
	var names []string
	for i := range c.Receivers {
		names = append(names, c.Receivers[i].Name)
		if name == "" || name == c.Receivers[i].Name {
			list = append(list, &c.Receivers[i])
		}
	}
	if len(list) == 0 {
		hint := "there are " + strings.Join(names, ", ")
		if near := rules.Nearest(name, names, len(name)); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
		return nil, fmt.Errorf("%w %q: %s", ErrReceiver, brief(name), hint)
	}
	return list, nil
}

// ErrTest says that a receiver did not take a test.
var ErrTest = errors.New("not every receiver took the test")

// Test sends a marked alert to the receiver of that name, or to all if it is
// empty, past the queues: it fires, becomes worse, and is resolved. It writes
// a line for each step to w and returns ErrTest if one failed.
func Test(ctx context.Context, c *Config, name string, o Options, w io.Writer) error {
	list, err := pick(c, name)
	if err != nil {
		return err
	}
	failed := false
	for _, r := range list {
		dest, err := newDestination(c, r, o)
		if err != nil {
			return fmt.Errorf("receiver %s: %w", r.Name, err)
		}
		if !try(ctx, dest, r, steps(time.Now(), c.Instance), w) {
			failed = true
		}
	}
	if failed {
		return ErrTest
	}
	return nil
}

func try(ctx context.Context, dest destination, r *Receiver, steps []step, w io.Writer) bool {
	message := ""
	for _, s := range steps {
		s.b.Message = message
		begin := time.Now()
		out := dest.deliver(ctx, &s.b)
		took := time.Since(begin).Round(time.Millisecond)
		if out.verdict != delivered {
			fmt.Fprintf(w, "%s (%s): %s: FAILED after %s: %s\n%s", r.Name, r.Kind, s.name, took, out.words, cure(out))
			return false
		}
		message = out.message
		fmt.Fprintf(w, "%s (%s): %s: ok, %s\n", r.Name, r.Kind, s.name, took)
	}
	return true
}

// cure says what to look at.
func cure(out outcome) string {
	switch out.verdict {
	case stopped:
		return "  the webhook was deleted, or its URL or token is wrong: make a new one and write it to the receiver's file\n"
	case refused:
		return "  the receiver is there and does not like the message: check thread_id, roles or chat\n"
	}
	return "  it would be tried again: check the network, the proxy, the certificate, and whether the receiver is up\n"
}

// DryRun writes to w what Test would send, without sending it: method, place,
// headers and body, with <secret> for each secret.
func DryRun(c *Config, name string, o Options, w io.Writer) error {
	list, err := pick(c, name)
	if err != nil {
		return err
	}
	for _, r := range list {
		dest, err := newDestination(c, r, o)
		if err != nil {
			return fmt.Errorf("receiver %s: %w", r.Name, err)
		}
		redact := newRedactor(r.URLs, r.Token, r.HMAC, r.Password)
		message := ""
		for _, s := range steps(time.Now(), c.Instance) {
			s.b.Message = message
			calls := dest.calls(&s.b)
			if len(calls) == 0 {
				fmt.Fprintf(w, "# %s (%s): %s: nothing is sent\n\n", r.Name, r.Kind, s.name)
			}
			for i := range calls {
				fmt.Fprintf(w, "# %s (%s): %s: %s\n%s\n", r.Name, r.Kind, s.name, calls[i].what, show(&calls[i], r, redact))
			}
			message = "1" // stands for the id that the receiver gives
		}
	}
	return nil
}

// show is a call as text.
func show(c *call, r *Receiver, redact redactor) string {
	var b strings.Builder
	if c.url == nil {
		fmt.Fprintf(&b, "%s to %s\n%s", c.method, r.Path, c.body)
		return b.String()
	}
	fmt.Fprintf(&b, "%s %s://%s/%s\n", c.method, c.url.Scheme, c.url.Host, hidden)
	for _, k := range sortedKeys(c.header) {
		v := strings.Join(c.header[k], ", ")
		if slices.Contains([]string{"Authorization", SignatureHeader}, k) {
			v = hidden
		}
		fmt.Fprintf(&b, "%s: %s\n", k, redact.text(v))
	}
	var body bytes.Buffer
	if json.Indent(&body, c.body, "", "  ") != nil {
		body.Write(c.body)
	}
	fmt.Fprintf(&b, "\n%s\n", redact.text(body.String()))
	return b.String()
}
