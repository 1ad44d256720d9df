package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Outcome says how a client's call ended.
type Outcome uint8

// The outcomes. Canceled is a call cut short because the play ended: it says
// nothing about the node.
const (
	Canceled Outcome = iota
	Answered
	Refused  // no connection: the port is closed
	TimedOut // no connection or no answer within the client's patience
	Broken   // reset or closed before the answer was complete
	Erred    // answered, but not with 200
)

var outcomeNames = [...]string{"canceled", "answered", "refused", "timed_out", "broken", "erred"}

// String names the outcome.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// MarshalText writes the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name.
func (o *Outcome) UnmarshalText(text []byte) error {
	for i, name := range outcomeNames {
		if name == string(text) {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("no outcome is named %q", text)
}

// Failed reports whether the client was let down by the node.
func (o Outcome) Failed() bool { return o >= Refused }

// Call is a line in a client's log: one call, from before the connection was
// opened (or the request written, on a connection that stood) to its end.
type Call struct {
	Start   time.Time      `json:"start"`
	End     time.Time      `json:"end"`
	Client  netip.AddrPort `json:"client,omitzero"` // zero when there was no connection
	Command string         `json:"command"`
	Outcome Outcome        `json:"outcome"`
	Status  int            `json:"status,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// link is a client's connection to the node, opened when first needed.
type link struct {
	target netip.AddrPort
	source netip.Addr // zero: the kernel chooses
	conn   net.Conn
	br     *bufio.Reader
}

// do makes one call and waits for its answer for at most patience. The
// connection is closed afterwards unless keep is true and the answer allows
// it. A client that gives up closes, as wallets do: its FIN is all the node
// could notice.
func (l *link) do(ctx context.Context, command, body string, patience time.Duration, keep bool) Call {
	c := Call{Start: time.Now().UTC(), Command: command}
	status, again, err := l.exchange(ctx, body, patience, keep)
	c.End, c.Status = time.Now().UTC(), status
	if l.conn != nil {
		c.Client = l.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	}
	if !again {
		l.close()
	}
	c.Outcome = outcome(ctx, status, err)
	if err != nil {
		c.Error = err.Error()
	}
	return c
}

// exchange writes the request and reads the answer; again says that the
// connection can carry another.
func (l *link) exchange(ctx context.Context, body string, patience time.Duration, keep bool) (status int, again bool, err error) {
	deadline := time.Now().Add(patience)
	if err := l.open(ctx, deadline); err != nil {
		return 0, false, err
	}
	conn := l.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) // wakes the read below
	defer stop()
	if err := conn.SetDeadline(deadline); err != nil {
		return 0, false, err
	}
	connection := "close"
	if keep {
		connection = "keep-alive"
	}
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nUser-Agent: wallet/2.5.6\r\nContent-Type: application/json\r\n"+
		"X-IOTA-API-Version: 1\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s", l.target, connection, len(body), body)
	if err != nil {
		return 0, false, err
	}
	resp, err := http.ReadResponse(l.br, nil)
	if err != nil {
		return 0, false, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close() // nothing beyond the copy can fail here
	return resp.StatusCode, keep && !resp.Close && err == nil, err
}

func (l *link) open(ctx context.Context, deadline time.Time) error {
	if l.conn != nil {
		return nil
	}
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	d.SetMultipathTCP(false)
	if l.source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", l.target.String())
	if err != nil {
		return err
	}
	l.conn, l.br = conn, bufio.NewReader(conn)
	return nil
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close() // the client has no use for the error
		l.conn = nil
	}
}

// outcome judges how a call ended.
func outcome(ctx context.Context, status int, err error) Outcome {
	var timeout net.Error
	switch {
	case err == nil && status == http.StatusOK:
		return Answered
	case err == nil:
		return Erred
	case ctx.Err() != nil:
		return Canceled
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	}
	return Broken
}
