package replay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"stallwatch/capture"
)

// readAll reads s to its end; packets' bytes are copied.
func readAll(t testing.TB, s *Source) (items []capture.Item) {
	t.Helper()
	last := capture.Time(0)
	for {
		var it capture.Item
		err := s.Next(&it)
		if err == io.EOF {
			return items
		}
		if err != nil || it.At <= last || len(items) > 1<<20 {
			t.Fatalf("item %d: at %d after %d, %v", len(items), it.At, last, err)
		}
		last = it.At
		it.Packet.Data = bytes.Clone(it.Packet.Data)
		items = append(items, it)
	}
}

func openAll(t testing.TB, o Options, paths ...string) (*Source, []capture.Item) {
	t.Helper()
	s, err := Open(paths, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, readAll(t, s)
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// pcapFile makes a pcap with one packet of the given bytes at each time.
func pcapFile(o binary.ByteOrder, magic uint32, times ...capture.Time) []byte {
	b := make([]byte, 24)
	o.PutUint32(b, magic)
	o.PutUint16(b[4:], 2)
	o.PutUint16(b[6:], 4)
	o.PutUint32(b[16:], 65535)
	o.PutUint32(b[20:], 1)
	for i, at := range times {
		h := make([]byte, 16, 32)
		if magic == magicModified {
			h = h[:24]
		}
		o.PutUint32(h, uint32(at/1e9))
		frac := uint32(at % 1e9)
		if magic != magicNano {
			frac /= 1000
		}
		o.PutUint32(h[4:], frac)
		o.PutUint32(h[8:], 3)
		o.PutUint32(h[12:], 60)
		b = append(append(b, h...), byte(i), 2, 3)
	}
	return b
}

const second = capture.Time(1e9)

func TestPcapFormats(t *testing.T) {
	times := []capture.Time{5*second + 123456000, 6 * second}
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, magic := range []uint32{magicMicro, magicNano, magicModified} {
			b := pcapFile(o, magic, times...)
			for pack, packed := range packings(t, b) {
				t.Run(fmt.Sprintf("%v %x %s", o, magic, pack), func(t *testing.T) {
					s, got := openAll(t, Options{}, write(t, filepath.Join(t.TempDir(), "x"), packed))
					want := []capture.Item{
						{At: times[0], Kind: capture.PacketSeen, Packet: capture.Packet{Data: []byte{0, 2, 3}, Length: 60, Link: 1}},
						{At: times[1], Kind: capture.PacketSeen, Packet: capture.Packet{Data: []byte{1, 2, 3}, Length: 60, Link: 1}},
						{At: times[1] + second, Kind: capture.Tick},
					}
					if !reflect.DeepEqual(got, want) || len(s.Errors()) > 0 {
						t.Errorf("got %+v, %v\nwant %+v", got, s.Errors(), want)
					}
					if read, total := s.Progress(); read != int64(len(packed)) || total != read {
						t.Errorf("Progress() = %d, %d of %d bytes", read, total, len(packed))
					}
				})
			}
		}
	}
}

func packings(t testing.TB, b []byte) map[string][]byte {
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return map[string][]byte{"plain": b, "gzip": gz.Bytes(), "zstd": zs.Bytes()}
}

// TestEditcap has another program write the formats.
func TestEditcap(t *testing.T) {
	editcap, err := exec.LookPath("editcap")
	if err != nil {
		t.Skip("editcap (of tshark) is not installed")
	}
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "in.pcap"), pcapFile(binary.LittleEndian, magicNano, 5*second+123456789, 6*second, 7*second))
	_, want := openAll(t, Options{}, in)
	for _, format := range []string{"pcap", "nsecpcap", "modpcap", "pcapng"} {
		out := filepath.Join(dir, "out."+format)
		if b, err := exec.Command(editcap, "-F", format, in, out).CombinedOutput(); err != nil {
			t.Fatalf("editcap -F %s: %v: %s", format, err, b)
		}
		s, got := openAll(t, Options{}, out)
		if len(s.Errors()) > 0 || len(got) != len(want) {
			t.Fatalf("%s: %d items, %v", format, len(got), s.Errors())
		}
		for i := range got {
			exact := want[i].At
			if format == "pcap" || format == "modpcap" {
				exact -= exact % 1000
			}
			if got[i].At != exact || !bytes.Equal(got[i].Packet.Data, want[i].Packet.Data) || got[i].Packet.Length != want[i].Packet.Length {
				t.Errorf("%s: item %d = %+v, want %+v", format, i, got[i], want[i])
			}
		}
	}
}

func TestBroken(t *testing.T) {
	good := pcapFile(binary.LittleEndian, magicNano, second, 2*second)
	insane := append(bytes.Clone(good), make([]byte, 16)...)
	binary.LittleEndian.PutUint32(insane[len(good)+8:], 0xfffffff0)
	for _, tt := range []struct {
		name    string
		data    []byte
		packets int
		offset  int64
		says    string
	}{
		{"cut in a packet", good[:len(good)-1], 1, 43, "ends within a record"},
		{"cut in a header", good[:50], 1, 43, "ends within a record"},
		{"insane length", insane, 2, int64(len(good)), "damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			bad := write(t, filepath.Join(dir, "bad.pcap"), tt.data)
			next := write(t, filepath.Join(dir, "next.pcap"), pcapFile(binary.LittleEndian, magicNano, 9*second))
			s, got := openAll(t, Options{}, bad, next)
			if len(got) != tt.packets+2 {
				t.Errorf("%d items, want %d packets, one of the next file, a tick", len(got), tt.packets)
			}
			if e := s.Errors(); len(e) != 1 || e[0].Offset != tt.offset || e[0].Path != bad || !strings.Contains(e[0].Error(), tt.says) {
				t.Errorf("errors %v, want one at %d: %s", e, tt.offset, tt.says)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "none")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, says string }{
		"missing":   {filepath.Join(dir, "nope"), "no such file"},
		"empty":     {write(t, filepath.Join(dir, "e.pcap"), nil), "empty"},
		"text":      {write(t, filepath.Join(dir, "t.pcap"), []byte("hel\x1blo")), `starts with "hel\x1blo"`},
		"side file": {write(t, filepath.Join(dir, "x.host.jsonl"), []byte("{}")), "name the capture beside it"},
		"directory": {empty, "no captures in this directory"},
		"xz":        {write(t, filepath.Join(dir, "x.pcap.xz"), []byte("\xfd7zXZ\x00\x00\x04")), "compressed with xz, which is not read: xz -dc FILE | stallwatch replay -"},
		"lz4":       {write(t, filepath.Join(dir, "x.lz4"), []byte("\x04\x22\x4d\x18abcdefgh")), "compressed with lz4"},
		"cut zstd":  {write(t, filepath.Join(dir, "x.zst"), []byte("\x28\xb5\x2f\xfd\x04\x58")), "the compressed file is cut off"},
		"header":    {write(t, filepath.Join(dir, "h.pcap"), pcapFile(binary.LittleEndian, magicNano)[:20]), "ends within its header"},
	} {
		s, err := Open([]string{tt.path}, Options{})
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: Open = %v, %v; want an error that says %q", name, s, err, tt.says)
		}
	}
}

// What cannot be opened below a directory is told, and the rest is read.
func TestDirectoryWithBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	whole := pcapFile(binary.LittleEndian, magicNano, 1*second, 2*second)
	write(t, filepath.Join(dir, "a.pcap"), whole)
	cut := write(t, filepath.Join(dir, "b.pcap"), whole[:20])
	packed := write(t, filepath.Join(dir, "c.pcap.xz"), []byte("\xfd7zXZ\x00\x00\x04"))
	write(t, filepath.Join(dir, "d.pcap"), nil) // begun, nothing captured
	write(t, filepath.Join(dir, "notes.txt"), []byte("notes"))
	s, got := openAll(t, Options{}, dir)
	if len(got) != 3 {
		t.Errorf("%d items, want two packets and a tick", len(got))
	}
	var paths []string
	for _, e := range s.Errors() {
		paths = append(paths, e.Path)
	}
	if want := []string{cut, packed}; !slices.Equal(paths, want) {
		t.Errorf("told of %q, want %q", paths, want)
	}
	os.Remove(filepath.Join(dir, "a.pcap"))
	if _, err := Open([]string{dir}, Options{}); err == nil || !strings.Contains(err.Error(), "b.pcap: at byte 0: the file ends within its header") {
		t.Errorf("a directory of broken files opens: %v", err)
	}
}

func TestMergeAndStdin(t *testing.T) {
	dir := t.TempDir()
	le := binary.LittleEndian
	write(t, filepath.Join(dir, "b.pcap"), pcapFile(le, magicNano, 1*second, 3*second, 5*second))
	write(t, filepath.Join(dir, "a.pcap"), pcapFile(le, magicNano, 2*second, 4*second))
	write(t, filepath.Join(dir, "notes.txt"), []byte("notes"))
	s, got := openAll(t, Options{Stdin: bytes.NewReader(pcapFile(le, magicNano, 4*second+1, 9*second)), Drain: 7}, dir, "-")
	var at []capture.Time
	for _, it := range got {
		at = append(at, it.At)
	}
	want := []capture.Time{1 * second, 2 * second, 3 * second, 4 * second, 4*second + 1, 5 * second, 9 * second, 9*second + 7}
	if !reflect.DeepEqual(at, want) || len(s.Errors()) > 0 {
		t.Errorf("times %v, %v; want %v", at, s.Errors(), want)
	}
}

func randomSample(r *rand.Rand) *capture.Sample {
	words := []string{"", "java", "\xff\x00\x1b[", "<&>\u2028"}
	s := &capture.Sample{PID: r.IntN(9), Process: words[r.IntN(4)], Err: words[r.IntN(4)], FDs: r.IntN(4) - 1, FDLimit: r.IntN(4) - 1,
		Unaccepted: r.IntN(3), UnacceptedCloseWait: r.IntN(3), Overflows: r.Uint64(), Drops: r.Uint64()}
	for i := 1; i < len(s.Sockets); i++ {
		s.Sockets[i] = r.IntN(3)
	}
	a, b := netip.MustParseAddrPort("[2001:db8::1]:14265"), netip.MustParseAddrPort("10.0.0.1:4000")
	if r.IntN(2) == 0 {
		s.Listen = []capture.Backlog{{Addr: a, Queue: r.IntN(9), Max: 128}, {Addr: b}}
		s.Addrs = []netip.Addr{a.Addr(), b.Addr()}
	}
	switch r.IntN(3) {
	case 0:
		s.Conns = []capture.Socket{}
	case 1:
		s.Conns = []capture.Socket{{Flow: capture.Flow{Client: capture.EndpointOf(b), Server: capture.EndpointOf(a)}, State: capture.CloseWait, Accepted: true}}
	}
	return s
}

// TestRecorderRoundTrip wants a recording back as it was, its end included.
func TestRecorderRoundTrip(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		path := filepath.Join(t.TempDir(), "r.pcap")
		rec, err := NewRecorder(path, RecorderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var want []capture.Item
		at := 1700000000 * second
		for range 200 {
			at += capture.Time(1 + rnd.Int64N(3)*rnd.Int64N(1e9))
			it := capture.Item{At: at, Kind: capture.Kind(1 + rnd.IntN(3))}
			switch it.Kind {
			case capture.PacketSeen:
				n := rnd.IntN(2000)
				it.Packet = capture.Packet{Data: bytes.Repeat([]byte{byte(n)}, n), Length: n + rnd.IntN(2), Link: 276}
			case capture.HostSampled:
				it.Sample = randomSample(rnd)
			case capture.PacketsLost:
				it.Loss = capture.Loss{Kernel: rnd.Uint64(), Interface: rnd.Uint64()}
				if rnd.IntN(2) == 0 {
					it.Loss.Unwatched, it.Loss.Why = time.Duration(1+rnd.Int64N(1e12)), capture.Pause(1+rnd.IntN(4))
				}
			}
			want = append(want, it)
			if err := rec.Write(&it); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, capture.Item{At: at + 5, Kind: capture.Tick})
		if err := rec.Close(at + 5); err != nil {
			t.Fatal(err)
		}
		s, got := openAll(t, Options{}, path)
		if len(s.Errors()) > 0 || len(got) != len(want) {
			t.Fatalf("seed %d: %d items, %v; want %d", seed, len(got), s.Errors(), len(want))
		}
		for i := range got {
			got[i].Packet.Data = append([]byte{}, got[i].Packet.Data...)
			want[i].Packet.Data = append([]byte{}, want[i].Packet.Data...)
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("seed %d, item %d:\n got %+v %+v\nwant %+v %+v", seed, i, got[i], got[i].Sample, want[i], want[i].Sample)
			}
		}
	}
}

// TestBetweenRecordings: what lies between the end of a recording and the
// beginning of the next was not watched. Of two files of tcpdump nobody knows,
// and while another recording goes on somebody watches.
func TestBetweenRecordings(t *testing.T) {
	const t0 = 1700000000 * second
	recording := func(name string, end capture.Time, times ...capture.Time) string {
		path := filepath.Join(t.TempDir(), name)
		rec, err := NewRecorder(path, RecorderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range times {
			if err := rec.Write(&capture.Item{At: t0 + at, Kind: capture.PacketSeen, Packet: capture.Packet{Data: []byte{1}, Length: 1, Link: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := rec.Close(t0 + end); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dumped := func(times ...capture.Time) string {
		for i := range times {
			times[i] += t0
		}
		return write(t, filepath.Join(t.TempDir(), "dumped.pcap"), pcapFile(binary.LittleEndian, magicNano, times...))
	}
	for name, tt := range map[string]struct {
		files []string
		want  string
	}{
		"an hour between":      {[]string{recording("a.pcap", 5*second, 1*second), recording("b.pcap", 3700*second, 3605*second)}, "1 5 pause 5 3600 3605 3700"},
		"one right after":      {[]string{recording("a.pcap", 5*second, 1*second), recording("b.pcap", 9*second, 6*second)}, "1 5 6 9"},
		"tcpdump's after ours": {[]string{recording("a.pcap", 5*second, 1*second), dumped(3605 * second)}, "1 5 pause 5 3600 3605 3606"},
		"tcpdump's before":     {[]string{dumped(1 * second), recording("b.pcap", 3700*second, 3605*second)}, "1 3605 3700"},
		"another goes on":      {[]string{recording("a.pcap", 5*second, 1*second), recording("b.pcap", 3700*second, 2*second, 3605*second)}, "1 2 5 3605 3700"},
	} {
		t.Run(name, func(t *testing.T) {
			_, items := openAll(t, Options{}, tt.files...)
			var got []string
			for _, it := range items {
				if it.Kind == capture.PacketsLost {
					got = append(got, "pause")
					if it.Loss.Why != capture.Unrecorded {
						t.Errorf("why %v", it.Loss.Why)
					}
					got = append(got, fmt.Sprint(it.At.Sub(t0).Round(time.Second).Seconds()), fmt.Sprint(it.Loss.Unwatched.Round(time.Second).Seconds()))
					continue
				}
				got = append(got, fmt.Sprint(it.At.Sub(t0).Round(time.Second).Seconds()))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestRecorderRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.pcap")
	rec, err := NewRecorder(path, RecorderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewRecorder(path, RecorderOptions{}); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a second recorder: %v", err)
	}
	it := capture.Item{At: second, Kind: capture.PacketSeen, Packet: capture.Packet{Data: []byte{1}, Length: 1, Link: 1}}
	if err := rec.Write(&it); err != nil {
		t.Fatal(err)
	}
	it.Packet.Link = 101
	if err := rec.Write(&it); err == nil {
		t.Error("two link types in one pcap")
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := rec.Close(2 * second); err != nil {
		t.Error(err)
	}
}

func TestSideFileBadLines(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "x.pcap.zst"), packings(t, pcapFile(binary.LittleEndian, magicNano, second))["zstd"])
	write(t, SidePath(path), []byte("{\"type\":\"sample\",\"time\":\"1970-01-01T00:00:02Z\",\"fds\":7}\nnonsense\n\n{\"type\":\"cake\",\"time\":\"1970-01-01T00:00:02Z\"}\n"+
		"{\"type\":\"loss\",\"time\":\"1970-01-01T00:00:03Z\",\"kernel\":4}\n{\"type\":\"end\",\"time\":\"1970-01-01T00:00:04Z\"}\n"+
		"{\"type\":\"loss\",\"time\":\"1970-01-01T00:00:05Z\",\"until\":\"1970-01-01T00:00:05Z\",\"why\":\"asleep\"}\n"+
		"{\"type\":\"loss\",\"time\":\"1970-01-01T00:00:05Z\",\"until\":\"1970-01-01T00:00:06Z\",\"why\":\"lunch\"}\n"+
		"{\"type\":\"loss\",\"time\":\"1970-01-01T00:00:05Z\",\"until\":\"9999-01-01T00:00:06Z\",\"why\":\"asleep\"}\n"))
	s, got := openAll(t, Options{}, path)
	if len(got) != 4 || got[1].Sample == nil || got[1].Sample.FDs != 7 || got[1].Sample.FDLimit != -1 || got[2].Loss.Kernel != 4 || got[3].At != 4*second {
		t.Errorf("items %+v", got)
	}
	if e := s.Errors(); len(e) != 5 || e[0].Line != 2 || e[1].Line != 4 || e[2].Line != 7 || e[3].Line != 8 || e[4].Line != 9 {
		t.Errorf("errors %v", e)
	}
}

func bench(b *testing.B, size int) {
	o := binary.LittleEndian
	data := pcapFile(o, magicNano)
	const packets = 100000
	for i := range packets {
		h := make([]byte, 16+size)
		o.PutUint32(h, uint32(i))
		o.PutUint32(h[8:], uint32(size))
		o.PutUint32(h[12:], uint32(size))
		data = append(data, h...)
	}
	path := write(b, filepath.Join(b.TempDir(), "b.pcap"), data)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s, err := Open([]string{path}, Options{})
		if err != nil {
			b.Fatal(err)
		}
		var it capture.Item
		for s.Next(&it) == nil {
			n++
		}
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
}

func BenchmarkSource(b *testing.B) {
	for _, size := range []int{300, 1400} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { bench(b, size) })
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	times := make([]capture.Time, 300)
	for i := range times {
		times[i] = second + capture.Time(i)
	}
	s, err := Open([]string{write(t, filepath.Join(t.TempDir(), "x"), pcapFile(binary.LittleEndian, magicNano, times...))}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var it capture.Item
	if err := s.Next(&it); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(200, func() { _ = s.Next(&it) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
