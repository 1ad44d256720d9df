package detect

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// More clients than there is room for: the table holds its bound, and says so.
func TestVisitorsAreBounded(t *testing.T) {
	d := newDrive(t, Options{Rules: rules.Default(), MaxVisitors: 50, MaxConns: 300})
	for i := range 2000 {
		d.answer(d.call(fmt.Sprintf("10.%d.%d.1", i/200, i%200), infoBody), 200)
	}
	if n := d.e.view.visitors.slab.inUse(); n > 50 {
		t.Errorf("%d clients, want at most 50", n)
	}
	if d.e.Stats().VisitorsEvicted != 1950 {
		t.Errorf("%d clients forgotten, want 1950", d.e.Stats().VisitorsEvicted)
	}
}

// Connections that say nothing cannot crowd out those that hang.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	d := newDrive(t, Options{Rules: rules.Default(), MaxConns: 100})
	hangs := d.call("192.0.2.1", infoBody)
	for i := range 1000 {
		f := d.open[hangs].Flow
		f.Client = capture.EndpointOf(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.9"), uint16(i+1)))
		id := httpreassembly.ConnID(d.at + 1)
		d.observe(&httpreassembly.Event{Kind: httpreassembly.Opened, Conn: id, Flow: f}, nil)
		d.observe(&httpreassembly.Event{Kind: httpreassembly.Established, Conn: id, Flow: f}, nil)
	}
	if d.e.view.look(d.open[hangs]) == none || d.e.view.conns.inUse() > 100 || d.e.Stats().ConnsEvicted == 0 {
		t.Errorf("%d connections, %d evicted, the call that hangs is followed: %v", d.e.view.conns.inUse(), d.e.Stats().ConnsEvicted, d.e.view.look(d.open[hangs]) != none)
	}
}

// What a trusted proxy says of its clients is believed, what others say is not.
func TestClientBehindProxy(t *testing.T) {
	for _, row := range []struct{ from, want string }{{"127.0.0.1", "203.0.113.9"}, {"192.0.2.1", "192.0.2.1"}} {
		d := newDrive(t, Options{Rules: rules.Default()})
		for range 3 {
			body := []byte(infoBody)
			v := d.set.Classify(&rules.Request{Method: []byte("POST"), Target: []byte("/"), Body: body, BodyBytes: int64(len(body))})
			id := d.call(row.from, infoBody)
			d.answer(id, 200)
			d.at++
			ev := *d.open[id]
			x := *ev.Exchange
			x.Depth, x.RequestEnd, x.ForwardedFor = 2, d.at, []byte("10.0.0.1, 203.0.113.9")
			ev.Exchange = &x
			d.observe(&ev, &v)
		}
		d.wait(12 * time.Second)
		var got string
		for _, f := range d.out {
			if f.Kind == AlertChanged && len(f.Alert.Evidence.Clients) > 0 {
				got = f.Alert.Evidence.Clients[0].Client.String()
			}
		}
		if got != row.want {
			t.Errorf("calls from %s are of %q, want %s", row.from, got, row.want)
		}
	}
}
