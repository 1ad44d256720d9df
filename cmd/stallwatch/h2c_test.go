package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestH2C reads what curl and a Go server said to each other in HTTP/2 (see
// testdata/h2c): calls are named, timed and ended as in HTTP/1, whatever the
// shards.
func TestH2C(t *testing.T) {
	want := []string{
		"POST / getNodeInfo 200 answered 25",
		"GET / other 200 answered 0",
		"POST / getBalances 200 answered 75639",
		"POST / getTrytes 200 answered 23",
		"POST /hang getTransactionsToApprove 0 client_gone 48",
	}
	for _, shards := range []string{"1", "3"} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), []string{"replay", "--json", "--shards", shards, "-p", "14265", "../../testdata/h2c/h2c.pcap.zst"},
			stdio{strings.NewReader(""), &out, &errs}); code != exitOK {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		var got []string
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			var r struct {
				Type, Method, Target, Command, Outcome string
				Status                                 int
				Content                                int64    `json:"request_body_bytes"`
				Wait                                   *float64 `json:"wait_seconds"`
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if r.Type != "exchange" {
				continue
			}
			got = append(got, fmt.Sprintf("%s %s %s %d %s %d", r.Method, r.Target, r.Command, r.Status, r.Outcome, r.Content))
			if r.Status == 200 && (r.Wait == nil || *r.Wait < 0 || *r.Wait > 0.1) {
				t.Errorf("wait of %s: %v, want a few milliseconds", line, r.Wait)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s shards: got\n%s\nwant\n%s", shards, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
