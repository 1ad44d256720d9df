package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"stallwatch/cmd/internal/freeport"
	"stallwatch/cmd/internal/notify"
	"stallwatch/detect"
	"stallwatch/rules"
)

// posted is an element of GET /api/v2/alerts.
type posted struct {
	Labels, Annotations map[string]string
	StartsAt            time.Time
	Status              struct{ State string }
}

func listed(addr string) (list []posted, err error) {
	body, err := get("http://" + addr + "/api/v2/alerts")
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	return list, err
}

// receivers starts a notifier with one receiver.
func receivers(t *testing.T, receiver string) *notify.Notifier {
	t.Helper()
	c, err := notify.Load(writeTemp(t, "notify.yaml", "spool: none\ninstance: monitor-1\ngroup_wait: 1s\nreceivers: ["+receiver+"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := notify.New(c, notify.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func shut(t *testing.T, n *notify.Notifier) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Errorf("close: %v: %+v", err, n.Stats())
	}
}

func tell(n *notify.Notifier, a detect.Alert) {
	n.Finding(&detect.Finding{At: a.At, Kind: detect.AlertChanged, Alert: &a})
}

func TestAlertmanagerTakesAlerts(t *testing.T) {
	bin := tool(t, "prometheus-alertmanager")
	var told alerts
	play(t, rules.Default(), &told)
	last := map[string]detect.Alert{} // by name: the recording has one node
	for _, a := range told {
		if a.State == detect.Firing {
			last[a.Name] = a
		}
	}
	stalled, ok := last["CallStalled"]
	if !ok || len(last) < 2 {
		t.Fatalf("the recording has lost its attack: %v", told)
	}

	addr := freeport.Hold(t).String()
	config := writeTemp(t, "alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
	start(t, bin, "--config.file="+config, "--storage.path="+t.TempDir(), "--web.listen-address="+addr, "--cluster.listen-address=")
	eventually(t, func() error { _, err := get("http://" + addr + "/-/ready"); return err })
	n := receivers(t, "{name: am, type: alertmanager, urls: [\"http://"+addr+"\"]}")
	for _, a := range told {
		tell(n, a)
	}

	// The severity of each is the last one: a warning that became critical
	// does not stay beside it.
	eventually(t, func() error {
		list, err := listed(addr)
		if err != nil {
			return err
		}
		got := map[string]string{}
		for _, p := range list {
			got[p.Labels["alertname"]] += p.Labels["severity"]
		}
		for name, a := range last {
			if got[name] != strings.ToLower(a.Severity.String()) {
				return fmt.Errorf("Alertmanager has %v, want %s of severity %s and no other", got, name, a.Severity)
			}
		}
		return nil
	})
	list, err := listed(addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Labels["alertname"] == "CallStalled" {
			checkPosted(t, &p, &stalled)
		}
	}

	for _, a := range last {
		a.State, a.At = detect.Resolved, a.At.Add(time.Minute)
		tell(n, a)
	}
	eventually(t, func() error {
		list, err := listed(addr)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("still there after they were resolved: %+v", list)
		}
		return err
	})
	shut(t, n)
}

func checkPosted(t *testing.T, p *posted, a *detect.Alert) {
	t.Helper()
	for k, w := range map[string]string{"instance": node, "command": "getTransactionsToApprove", "job": "stallwatch", "monitor": "monitor-1",
		"severity": "critical", "subject": a.Subject} {
		if p.Labels[k] != w {
			t.Errorf("label %s is %q, want %q", k, p.Labels[k], w)
		}
	}
	if s := p.Annotations["summary"]; !strings.Contains(s, "getTransactionsToApprove") {
		t.Errorf("summary %q, want the command named", s)
	}
	for _, k := range []string{"description", "what_to_do"} {
		if p.Annotations[k] == "" {
			t.Errorf("no annotation %s: %v", k, p.Annotations)
		}
	}
	if w := a.Since.Std(); !p.StartsAt.Equal(w.Truncate(time.Millisecond)) && !p.StartsAt.Equal(w) {
		t.Errorf("began at %v, want %v", p.StartsAt, w)
	}
	if p.Status.State != "active" {
		t.Errorf("state %q, want active", p.Status.State)
	}
}
