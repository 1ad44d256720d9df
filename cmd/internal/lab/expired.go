package lab

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// expiringConf closes a kept connection that was idle for two seconds.
const expiringConf = `
	keepalive_timeout 2s;
	server {
		listen 127.0.0.1:14265;
		default_type application/json;
		location / { return 200 '{"appName":"IRI","duration":1}'; }
	}
`

// playExpired has clients that ask again on a kept connection just when nginx
// gives it up, from some milliseconds before until some after it: a request
// crosses the server's FIN, or comes after it, and is answered by a RST. They
// connect anew and ask again, as RFC 9112 section 9.3.1 has them do.
func playExpired(ctx context.Context, st *Stage) error {
	if err := st.Capture("lo", "tcp port 14265"); err != nil {
		return err
	}
	cmd, err := st.nginx(nodeAddr, expiringConf)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: worker(cmd), Port: nodePort}); err != nil {
		return err
	}
	var retried, lost atomic.Int64
	c := &cast{st: st, target: nodeAddr}
	c.each(ctx, 50, 250*time.Millisecond, func(i int) {
		from := netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i)})
		g := dial(ctx, from, c.target)
		if g == nil || g.call(post(info)) != nil {
			lost.Add(1)
			return
		}
		time.Sleep(1998*time.Millisecond + time.Duration(i)*100*time.Microsecond)
		err := g.call(post(info))
		g.close()
		if err == nil {
			return
		}
		retried.Add(1)
		if g = dial(ctx, from, c.target); g == nil || g.call(post(info)) != nil {
			lost.Add(1)
			return
		}
		g.close()
	})
	c.wg.Wait()
	st.Mark(fmt.Sprintf("%d of 50 calls were made a second time, %d were lost", retried.Load(), lost.Load()))
	time.Sleep(500 * time.Millisecond) // a truth or two after the last close
	return nil
}
