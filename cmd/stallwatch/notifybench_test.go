package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/cmd/internal/notify"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/synth"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// BenchmarkPacketPath measures packets on their way to alerts with no
// receiver, and with eight that never answer: the two must not differ.
func BenchmarkPacketPath(b *testing.B) {
	profile := synth.Hostile
	profile.Packets = 50_000
	var items []capture.Item
	var it capture.Item
	for g := synth.New(profile, 1); g.Next(&it) != io.EOF; {
		it.Packet.Data = append([]byte(nil), it.Packet.Data...)
		items = append(items, it)
	}
	for _, receivers := range []int{0, 8} {
		b.Run(fmt.Sprintf("hanging=%d", receivers), func(b *testing.B) {
			sinks := []pipeline.Sink{&tally{}}
			if receivers > 0 {
				sinks = append(sinks, hanging(b, receivers))
			}
			b.ReportAllocs()
			for b.Loop() {
				p, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, sinks...)
				if err != nil {
					b.Fatal(err)
				}
				for i := range items {
					p.Item(&items[i])
				}
				p.Finish(items[len(items)-1].At.Add(90 * time.Second))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/packet")
		})
	}
}

func hanging(b *testing.B, n int) *notify.Notifier {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	dir := b.TempDir()
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "  - {name: hook%d, type: webhook, url_env: STALLWATCH_BENCH_HOOK}\n", i)
	}
	b.Setenv("STALLWATCH_BENCH_HOOK", server.URL)
	c, err := notify.Load(writeFile(b, dir, "notify.yaml", []byte("receivers:\n"+list.String()+"spool: "+filepath.Join(dir, "spool")+"\n")))
	if err != nil {
		b.Fatal(err)
	}
	notifier, err := notify.New(c, notify.Options{Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		notifier.Close(ctx)
		close(stop)
		server.Close()
	})
	return notifier
}
