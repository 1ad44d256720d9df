package peers

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"stallwatch/cmd/internal/freeport"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// played is the attack as metrics, and what they must say, which is taken from
// the same events by other code.
type played struct {
	addr     string
	snap     detect.Snapshot
	segments uint64
	answered count
}

// count counts whole answers, as call_duration_seconds does.
type count struct {
	alerts
	done, answered int
}

func (c *count) Event(ev *httpreassembly.Event, _ *rules.Verdict) {
	if ev.Kind != httpreassembly.ExchangeDone || ev.Exchange.RequestEnd == 0 {
		return
	}
	c.done++
	if ev.Exchange.Outcome == httpreassembly.Answered {
		c.answered++
	}
}

func playMetrics(t *testing.T) *played {
	t.Helper()
	set, err := rules.Default().Select("auto")
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(set, metrics.Options{Version: `1.0 "quoted"` + "\n"})
	var p played
	pipe := play(t, set, m, &p.answered)
	pipe.Snapshot(&p.snap)
	p.segments = pipe.Stats().Tracker.Segments
	m.Publish(pipe.Stats(), &p.snap)
	server, err := metrics.Listen("127.0.0.1:0", m.Handler())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	p.addr = server.Addr()
	return &p
}

func TestPromtoolFindsNothing(t *testing.T) {
	bin := tool(t, "promtool")
	page, err := get("http://" + playMetrics(t).addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "check", "metrics")
	cmd.Stdin = strings.NewReader(string(page))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s\n%s", err, out, page)
	}
	if n := len(lines(page)); n < 100 {
		t.Errorf("%d lines only: the page has lost its metrics", n)
	}
}

const prometheusConfig = `
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs: [{job_name: stallwatch, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: ["%s"]}]}]
`

func TestPrometheusScrapes(t *testing.T) {
	bin := tool(t, "prometheus")
	p := playMetrics(t)
	if len(p.snap.Alerts) == 0 || p.snap.CloseWait == 0 || p.answered.answered == 0 {
		t.Fatalf("the recording has lost its attack: %+v", p.snap)
	}
	for _, row := range []struct {
		name  string
		args  []string
		count string // of a histogram
	}{
		{"classic histograms", nil, "stallwatch_call_duration_seconds_count"},
		{"native histograms", []string{"--enable-feature=native-histograms"}, "histogram_count(stallwatch_call_duration_seconds)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			addr := freeport.Hold(t).String()
			config := writeTemp(t, "prometheus.yml", fmt.Sprintf(prometheusConfig, p.addr))
			start(t, bin, append(row.args, "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+addr)...)
			eventually(t, func() error { return want(addr, `up{job="stallwatch"}`, 1) })
			for _, a := range p.snap.Alerts {
				ask(t, addr, fmt.Sprintf(`stallwatch_alerts_firing{alertname=%q}`, a.Name), float64(a.N))
			}
			ask(t, addr, `stallwatch_alerts_firing{alertname="CallStalled",severity="critical"}`, 1)
			ask(t, addr, row.count, float64(p.answered.answered))
			ask(t, addr, `sum(stallwatch_calls_total)`, float64(p.answered.done))
			ask(t, addr, `stallwatch_close_wait{source="wire"}`, float64(p.snap.CloseWait))
			ask(t, addr, `stallwatch_reassembly_segments_total`, float64(p.segments))
			ask(t, addr, `count(stallwatch_calls_inflight{command="getTransactionsToApprove"} > 50)`, 1)
			ask(t, addr, `count(stallwatch_build_info)`, 1)
			ask(t, addr, `count({__name__=~"stallwatch_.+"}) < bool 500`, 1)
			ask(t, addr, `scrape_samples_post_metric_relabeling == bool scrape_samples_scraped`, 1)
		})
	}
}

// TestPrometheusQuantile asks for what people look at: the native histogram
// places it within a bucket of 10 %, which the classic one cannot.
func TestPrometheusQuantile(t *testing.T) {
	bin := tool(t, "prometheus")
	p := playMetrics(t)
	addr := freeport.Hold(t).String()
	config := writeTemp(t, "prometheus.yml", fmt.Sprintf(prometheusConfig, p.addr))
	start(t, bin, "--enable-feature=native-histograms", "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+addr)
	// Half of the answered calls of getNodeInfo waited 3.2 ms or less.
	eventually(t, func() error {
		v, err := query(addr, `histogram_quantile(0.5, stallwatch_call_wait_seconds{command="getNodeInfo"})`)
		if err == nil && (v < 0.0025 || v > 0.004) {
			err = fmt.Errorf("median of getNodeInfo %v s, want about 0.0032", v)
		}
		return err
	})
}

func ask(t *testing.T, addr, q string, w float64) {
	t.Helper()
	// A scrape that times out on a busy machine hides every series until the next.
	eventually(t, func() error { return want(addr, q, w) })
}

func want(addr, q string, w float64) error {
	v, err := query(addr, q)
	if err == nil && v != w {
		err = fmt.Errorf("%s is %v, want %v", q, v, w)
	}
	return err
}

// query returns the value of the one series that q finds.
func query(addr, q string) (float64, error) {
	body, err := get("http://" + addr + "/api/v1/query?" + url.Values{"query": {q}, "time": {strconv.FormatInt(time.Now().Unix()+1, 10)}}.Encode())
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", q, err, body)
	}
	if len(answer.Data.Result) != 1 {
		return math.NaN(), fmt.Errorf("%s: %d series, want one: %s", q, len(answer.Data.Result), body)
	}
	s, _ := answer.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(s, 64)
}
