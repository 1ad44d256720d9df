package records

import (
	"strconv"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// maxMethod bounds a method in bytes: the longest registered one has 17.
const maxMethod = 32

// between writes the time from a to b, iff both happened.
func (l *line) between(key string, a, b capture.Time) {
	if a != 0 && b != 0 {
		l.seconds(key, b.Sub(a))
	}
}

func (r *Writer) exchange(x *httpreassembly.Exchange, v *rules.Verdict) {
	l := &r.l
	l.begin("exchange")
	r.head(x.RequestStart, x.Conn, x.Depth, &x.Flow, x)
	r.call(v)
	r.wire("method", x.Method, maxMethod)
	r.target(x.Target, x.TargetBytes > len(x.Target))
	r.wire("host", x.Host, text.MaxField)
	if x.Status != 0 {
		l.int("status", int64(x.Status))
	}
	if x.RequestEnd != 0 {
		l.int("request_body_bytes", x.RequestBody)
	}
	if x.ResponseStart != 0 {
		l.int("response_body_bytes", x.ResponseBody)
	}
	l.between("upload_seconds", x.RequestStart, x.RequestEnd)
	l.between("wait_seconds", x.RequestEnd, x.ResponseStart)
	l.between("download_seconds", x.ResponseStart, x.ResponseEnd)
	l.between("duration_seconds", x.RequestStart, x.ResponseEnd)
	if s, ok := rules.ServerSeconds(x.ResponseTail); ok {
		l.float("server_seconds", s)
	}
	l.word("outcome", text.Outcome(x.Outcome))
	if x.Lost != 0 {
		l.int("lost_bytes", x.Lost)
	}
	r.shape(v)
	r.done()
}

// head writes what every record of a call begins with; x may be nil.
func (r *Writer) head(at capture.Time, conn httpreassembly.ConnID, depth int, f *capture.Flow, x *httpreassembly.Exchange) {
	l := &r.l
	l.time("time", at)
	r.ends(conn, depth, f)
	if x != nil {
		r.realClient(x)
	}
	if f.Client.IsValid() && f.Server.IsValid() {
		l.key("community_id")
		l.b = append(l.b, '"')
		l.b = appendCommunityID(l.b, f)
		l.b = append(l.b, '"')
	}
}

// ends writes the connection; depth 0 is left out.
func (r *Writer) ends(conn httpreassembly.ConnID, depth int, f *capture.Flow) {
	r.l.conn(conn)
	if depth > 0 {
		r.l.int("depth", int64(depth))
	}
	r.l.addrPort("client", f.Client.AddrPort())
	r.l.addrPort("server", f.Server.AddrPort())
}

func (l *line) conn(id httpreassembly.ConnID) {
	l.key("conn")
	l.b = append(l.b, '"')
	l.b = strconv.AppendInt(l.b, int64(id), 10)
	l.b = append(l.b, '"')
}

// call writes what the rules say. Names of commands come from rule files, so
// they are quoted like any text.
func (r *Writer) call(v *rules.Verdict) {
	if v == nil || v.Command == nil {
		return
	}
	l := &r.l
	l.text("api", v.Command.API)
	l.text("command", v.Command.Name)
	if v.Raw != "" {
		r.scratch = text.AppendClean(r.scratch[:0], v.Raw, text.MaxField)
		r.quote("raw", r.scratch)
	}
	if len(v.Batch) > 0 {
		l.open("commands", '{')
		for i := range v.Batch {
			l.comma()
			l.b = appendString(l.b, v.Batch[i].Command.Name)
			l.b = append(l.b, ':')
			l.b = strconv.AppendInt(l.b, int64(v.Batch[i].N), 10)
		}
		l.shut('}')
	}
	l.word("class", text.Class(v.Command.Class))
}

func (r *Writer) shape(v *rules.Verdict) {
	if v == nil {
		return
	}
	r.scratch = v.Shape.Append(r.scratch[:0]) // printable ASCII by contract; quote escapes the rest
	if len(r.scratch) > 0 {
		r.quote("shape", r.scratch)
	}
}

// pending copies no Exchange: a Pending holds the text as strings.
func (r *Writer) pending(p *detect.Pending) {
	l := &r.l
	l.begin("pending")
	r.head(p.RequestStart, p.Conn, p.Depth, &p.Flow, nil)
	if p.Client.IsValid() && p.Client != p.Flow.Client.AddrPort() {
		r.end("real_client", p.Client)
	}
	r.call(&p.Call)
	r.wire("method", []byte(p.Method), maxMethod)
	r.target([]byte(p.Target), false)
	r.wire("host", []byte(p.Host), text.MaxField)
	l.int("request_body_bytes", p.RequestBody)
	l.between("upload_seconds", p.RequestStart, p.RequestEnd)
	r.shape(&p.Call)
	l.seconds("age_seconds", max(p.Age, time.Duration(0)))
	l.word("verdict", string(p.Cause))
	if p.Final {
		l.key("final")
		l.b = append(l.b, "true"...)
	}
	r.done()
}

// connection writes a connection's end. Its time is that of its first packet,
// as an exchange's is that of its first byte: time plus duration is the end.
func (r *Writer) connection(ev *httpreassembly.Event) {
	s, l := ev.Summary, &r.l
	l.begin("connection")
	l.time("time", s.Opened)
	r.ends(ev.Conn, 0, &ev.Flow)
	l.word("state", text.Ended(s.State, ev.How))
	l.int("exchanges", int64(s.Exchanges))
	l.int("bytes_to_server", s.Bytes[capture.ToServer])
	l.int("bytes_to_client", s.Bytes[capture.ToClient])
	l.between("duration_seconds", s.Opened, ev.At)
	l.between("close_wait_seconds", s.CloseWait, ev.At)
	l.word("closed_by", text.Side(ev.By))
	l.text("history", s.History)
	r.done()
}

func (r *Writer) oddity(ev *httpreassembly.Event) {
	l := &r.l
	l.begin("oddity")
	l.time("time", ev.At)
	r.ends(ev.Conn, 0, &ev.Flow)
	l.word("oddity", text.Oddity(ev.Odd))
	l.text("detail", ev.Detail)
	r.done()
}

func (r *Writer) node(at capture.Time, n *detect.Node) {
	l := &r.l
	l.begin("node")
	l.time("time", at)
	l.addrPort("server", n.Server)
	l.int("connections", int64(n.Connections))
	l.int("in_flight", int64(n.InFlight))
	if n.InFlight > 0 {
		l.seconds("oldest_seconds", n.Oldest)
	}
	l.int("close_wait", int64(n.CloseWait))
	if n.Host {
		l.known("close_wait_kernel", n.CloseWaitKernel)
		l.known("unaccepted", n.Unaccepted)
		l.known("fds", n.FDs)
		l.known("fd_limit", n.FDLimit)
	}
	if n.HasETA {
		l.seconds("fd_eta_seconds", n.ETA)
	}
	r.done()
}
