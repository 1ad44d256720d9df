package text

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	long := strings.Repeat("a", 9000)
	for _, row := range []struct{ name, in, want string }{
		{"plain", "getNodeInfo", "getNodeInfo"},
		{"empty", "", ""},
		{"line break", "a\r\nb", `a\x0d\x0ab`},
		{"escape sequence", "\x1b[2J\x1b]0;pwn\x07", `\x1b[2J\x1b]0;pwn\x07`},
		{"C1 control", "\x9b31m", `\x9b31m`},
		{"bidi override", "a\u202eb", `a\xe2\x80\xaeb`},
		{"NUL and DEL", "\x00\x7f", `\x00\x7f`},
		{"bad UTF-8", "\xff\xfe", `\xff\xfe`},
		{"backslash is told from an escape", `\x41`, `\\x41`},
		{"9 kB", long, long[:MaxField-3] + "..."},
		{"exactly the bound", long[:MaxField], long[:MaxField]},
		{"cut inside an escape", long[:MaxField-4] + "\x00\x00", long[:MaxField-4] + "..."},
	} {
		if got := Escape(row.in); got != row.want {
			t.Errorf("%s: Escape(%q) = %q, want %q", row.name, row.in, got, row.want)
		}
	}
	if got := string(AppendClean(nil, `caf\xe9`+"\n", 64)); got != `caf\xe9\x0a` {
		t.Errorf("AppendClean doubles or misses an escape: %q", got)
	}
}

func TestTarget(t *testing.T) {
	hex64 := strings.Repeat("0123456789abcdef", 4)
	for _, row := range []struct{ name, in, want string }{
		{"root", "/", "/"},
		{"asterisk form", "*", "*"},
		{"plain route", "/api/v1/info", "/api/v1/info"},
		{"long honest words", "/api/core/v2/whiteflag/compute-white-flag-mutations", "/api/core/v2/whiteflag/compute-white-flag-mutations"},
		{"camel case", "/getTransactionsToApprove", "/getTransactionsToApprove"},
		{"index number", "/milestones/by-index/1234567", "/milestones/by-index/1234567"},
		{"message id", "/api/v1/messages/" + hex64 + "/metadata", "/api/v1/messages/{64}/metadata"},
		{"bech32 address", "/api/v1/addresses/iota1qpszqzadsym6wpppd6z037dvlejmjuke7s24hm95s9fg9vpua7vluaw60xu", "/api/v1/addresses/{64}"},
		{"0x hex", "/blocks/0x" + hex64, "/blocks/{66}"},
		{"API key", "/iota_mainnet/A1b2C3d4E5f6G7h8", "/iota_mainnet/{16}"},
		{"seed in trytes", "/seed/" + strings.Repeat("KQZ9", 20) + "A", "/seed/{81}"},
		{"tryte word without digits", "/x/ABCDEFGHIJKLMNOPQ", "/x/{17}"},
		{"mnemonic joined by dashes", "/wallet/giant-dynamic-museum-toddler-six-deny", "/wallet/{37}"},
		{"short secret announced", "/token/s3cr3t", "/token/{6}"},
		{"action is no secret", "/auth/login", "/auth/login"},
		{"query values", "/api/v1/messages?index=TOPSECRET&x=1", "/api/v1/messages?index={9}&x={1}"},
		{"query empty value", "/a?b=&c", "/a?b=&c"},
		{"query bare key", "/a?A1b2C3d4E5f6G7h8", "/a?{16}"},
		{"query semicolons", "/a?k=v;token=abc", "/a?k={1};token={3}"},
		{"value with = and ?", "/a?k=a=b?c", "/a?k={5}"},
		{"second ? is data", "/a?b?c=d", "/a?b?c={1}"},
		{"matrix parameter", "/a;jsessionid=12345/b", "/a;jsessionid={5}/b"},
		{"user information", "http://bob:pw@node:14265/x", "http://{6}@node:14265/x"},
		{"encoded query", "/a%3Ftoken%3Dabc", "/{15}"},
		{"encoded letters", "/%73%65", "/{6}"},
		{"encoded blank", "/a%20b", "/a%20b"},
		{"line break", "/a\r\nX: y", `/a\x0d\x0aX: y`},
	} {
		if got := Target([]byte(row.in), true); got != row.want {
			t.Errorf("%s: Target(%q) = %q, want %q", row.name, row.in, got, row.want)
		}
	}
}

func TestTargetWhole(t *testing.T) {
	in := "/a?token=abc\x1b"
	if got, want := Target([]byte(in), false), `/a?token=abc\x1b`; got != want {
		t.Errorf("Target(%q, off) = %q, want %q", in, got, want)
	}
}

func TestTargetIsBounded(t *testing.T) {
	for _, unit := range []string{"/", "/a", "\x00", "/\x00", "?a=b&", "&a=b", ";a=b", "/0123456789abcdef", "@", "/@"} {
		in := []byte(strings.Repeat(unit, 4096))
		got := Target(in, true)
		if len(got) > MaxTarget || !safe([]byte(got)) {
			t.Errorf("Target(%q x 4096) is %d bytes, want at most %d and printable: %q", unit, len(got), MaxTarget, got)
		}
	}
}

func safe(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return utf8.Valid(b)
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "/api/v1/info?x=y", "\x1b[31m", "a\u202eb", "/;=;@?&%3f%", `\x41\`, strings.Repeat("/\xff", 600)} {
		f.Add([]byte(s), 16)
	}
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = min(max(limit, 0), 1<<16)
		dst := []byte("kept")
		for name, got := range map[string][]byte{
			"Append":      Append(dst, b, limit),
			"AppendClean": AppendClean(dst, string(b), limit),
		} {
			if !bytes.HasPrefix(got, dst) || len(got) > len(dst)+limit || !safe(got) {
				t.Errorf("%s(%q, %d) = %q", name, b, limit, got)
			}
		}
		if got := AppendTarget(dst, b, true); !bytes.HasPrefix(got, dst) || len(got) > len(dst)+MaxTarget || !safe(got) {
			t.Errorf("AppendTarget(%q, redact) = %q", b, got)
		}
		if got := AppendTarget(dst, b, false); len(got) > len(dst)+MaxWhole || !safe(got) {
			t.Errorf("AppendTarget(%q, whole) = %q", b, got)
		}
	})
}

// FuzzTargetHides plants a value where secrets stand and looks for it in what
// comes out.
func FuzzTargetHides(f *testing.F) {
	f.Add("/api", "k", "ZYXW9ZYXW9ZYXW9ZYXW9")
	f.Fuzz(func(t *testing.T, path, key, secret string) {
		if len(secret) < 16 || strings.ContainsAny(secret, "&;?/@=") || strings.Contains(path+key, "?") || len(path)+len(key) > 400 {
			return
		}
		got := Target([]byte(path+"?"+key+"="+secret), true)
		if shown := string(Append(nil, secret, MaxWhole)); strings.Contains(got, shown) && !strings.Contains(string(Append(nil, path+"?"+key, MaxWhole)), shown) {
			t.Errorf("Target(%q?%q=%q) = %q shows the value", path, key, secret, got)
		}
	})
}

func TestNoAllocs(t *testing.T) {
	dst := make([]byte, 0, 1024)
	in := []byte("/api/v1/addresses/iota1qpszqzadsym6wpppd6z037dvlejmjuke7s24hm95s9fg9vpua7vluaw60xu?token=abc\x1b")
	if n := testing.AllocsPerRun(100, func() { dst = AppendTarget(dst[:0], in, true) }); n != 0 {
		t.Errorf("AppendTarget allocates %v times, want 0", n)
	}
}

func BenchmarkTarget(b *testing.B) {
	dst := make([]byte, 0, 1024)
	in := []byte("/api/v1/addresses/iota1qpszqzadsym6wpppd6z037dvlejmjuke7s24hm95s9fg9vpua7vluaw60xu?token=abc")
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendTarget(dst[:0], in, true)
	}
}
