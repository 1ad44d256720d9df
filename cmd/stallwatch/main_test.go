package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stallwatch/cmd/internal/demo"
	"stallwatch/cmd/internal/synth"
)

// TestMain lets the test binary be the demo's node, as the program is, and
// the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("STALLWATCH_PROGRAM") != "" {
		main()
	}
	if len(os.Args) > 1 && os.Args[1] == demo.NodeCommand {
		os.Exit(demo.NodeMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// stallwatch runs the program in this process.
func stallwatch(t testing.TB, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), args, stdio{strings.NewReader(""), &o, &e})
	return code, o.String(), e.String()
}

const capturesDir = "../../testdata/captures"

func writeFile(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pcapOf is a capture of n synthetic packets; link changes its link type.
func pcapOf(t *testing.T, n int, link uint32) []byte {
	t.Helper()
	p := synth.Small
	p.Packets = n
	var b bytes.Buffer
	if err := synth.WritePcap(&b, synth.New(p, 1)); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b.Bytes()[20:], link)
	return b.Bytes()
}

// TestBadInput is what an operator gets wrong: each is one line that says what
// would be right, and the exit code that scripts rely on.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	empty := writeFile(t, dir, "empty.pcap", nil)
	textFile := writeFile(t, dir, "notes.txt", []byte("hello \x1b[31mworld\n"))
	whole := pcapOf(t, 2000, 1)
	cut := writeFile(t, dir, "cut.pcap", whole[:len(whole)/2])
	unknown := writeFile(t, dir, "token-ring.pcap", pcapOf(t, 20, 6))
	good := writeFile(t, dir, "good.pcap", whole)
	badRules := writeFile(t, dir, "bad.yaml", []byte("alerts:\n- aler: X\n"))
	none := filepath.Join(dir, "none")
	os.Mkdir(none, 0o700)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()

	for _, tt := range []struct {
		name string
		args []string
		code int
		errs string // in the one line on standard error
		out  string // in standard output
	}{
		{name: "empty file", args: []string{"replay", empty}, code: 1, errs: "the file is empty; want pcap or pcapng"},
		{name: "text file", args: []string{"replay", textFile}, code: 1, errs: `not a capture: starts with "hello \x1b[31mworl`},
		{name: "cut file", args: []string{"replay", cut}, code: 1, errs: "cut.pcap: at byte", out: "# Broken:"},
		{name: "cut file as records", args: []string{"replay", "--json", cut}, code: 1, errs: "the file ends within a record", out: `"broken":["`},
		{name: "unknown link type", args: []string{"replay", unknown}, out: "unknown_link"},
		{name: "no such file", args: []string{"replay", filepath.Join(dir, "absent.pcap")}, code: 1, errs: "absent.pcap: no such file"},
		{name: "directory without captures", args: []string{"replay", none}, code: 1, errs: "no capture"},
		{name: "no file", args: []string{"replay"}, code: 2, errs: "no capture named"},
		{name: "bad port", args: []string{"replay", "-p", "70000", good}, code: 2, errs: `port "70000": want a number from 1 to 65535`},
		{name: "bad rules", args: []string{"replay", "--rules", badRules, good}, code: 2, errs: "bad.yaml:2:3: unknown key \"aler\""},
		{name: "bad network", args: []string{"replay", "--trusted-proxy", "proxy.example", good}, code: 2, errs: `--trusted-proxy: "proxy.example": want a network`},
		{name: "bad memory", args: []string{"replay", "--memory", "1KiB", good}, code: 2, errs: "--memory"},
		{name: "bad api", args: []string{"replay", "--api", "irri", good}, code: 2, errs: "iri"},
		{name: "bad redact", args: []string{"replay", "--redact", "maybe", good}, code: 2, errs: "want on or off"},
		{name: "bad fail-on", args: []string{"replay", "--fail-on", "sometimes", good}, code: 2, errs: "want warning or critical"},
		{name: "bad shards", args: []string{"replay", "--shards", "1000", good}, code: 2, errs: "--shards 1000: want a number from 1 to 64"},
		{name: "little memory", args: []string{"replay", "--memory", "1MiB", good}, code: 2, errs: "--memory: 1MiB: want 32 MiB to 1024 GiB"},
		{name: "bad memory", args: []string{"watch", "--memory", "much"}, code: 2, errs: `--memory: size "much": want bytes or a unit of 1024`},
		{name: "unknown flag", args: []string{"watch", "--frobnicate"}, code: 2, errs: `unknown flag: --frobnicate; see "stallwatch watch --help"`},
		{name: "unknown command", args: []string{"wach"}, code: 2, errs: `unknown command "wach"`},
		{name: "bad filter in words", args: []string{"watch", "--metrics", "", "tcp", "udp"}, code: 2, errs: `bad filter "tcp udp"`},
		{name: "filter twice", args: []string{"watch", "-f", "tcp", "udp"}, code: 2, errs: "a filter was given twice"},
		{name: "bad filter", args: []string{"watch", "--metrics", "", "-f", "foo bar"}, code: 2, errs: "syntax error; want a pcap-filter expression"},
		{name: "a port as filter", args: []string{"watch", "--metrics", "", "8545"}, code: 2, errs: "a port is given by -p 8545"},
		{name: "an interface as filter", args: []string{"watch", "--metrics", "", "lo"}, code: 2, errs: "an interface is given by -i lo"},
		{name: "no port", args: []string{"watch", "--metrics", "", "-p", ""}, code: 2, errs: `port "": want a number`},
		{name: "another port", args: []string{"replay", "-p", "8545", good}, out: "give -p "},
		{name: "no such interface", args: []string{"watch", "--metrics", "", "-i", "nope0"}, code: 2, errs: `no such interface: "nope0"; there are:`},
		{name: "bad buffer", args: []string{"watch", "--metrics", "", "-B", "lots"}, code: 2, errs: "--buffer-size"},
		{name: "bad snap length", args: []string{"watch", "--metrics", "", "-s", "3"}, code: 2, errs: "snap length"},
		{name: "busy metrics port", args: []string{"watch", "--metrics", busy.Addr().String()}, code: 1, errs: "is in use: is another stallwatch running?"},
		{name: "bad log format", args: []string{"watch", "--log-format", "xml"}, code: 2, errs: "want auto, console or json"},
		{name: "record to nowhere", args: []string{"record"}, code: 2, errs: "give --write FILE"},
		{name: "record over a file", args: []string{"record", "-w", good}, code: 1, errs: "good.pcap is there already: choose another name, or remove it first, or replace it with --overwrite"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := stallwatch(t, tt.args...)
			if code != tt.code || !strings.Contains(errs, tt.errs) || !strings.Contains(out, tt.out) {
				t.Fatalf("stallwatch %q\n got exit code %d, %q\nwant exit code %d, %q\noutput: %s", tt.args, code, errs, tt.code, tt.errs, out)
			}
			if tt.code != 0 && tt.name != "bad rules" && strings.Count(errs, "\n") != 1 {
				t.Errorf("stallwatch %q says more than one line: %q", tt.args, errs)
			}
			if strings.ContainsAny(errs+out, "\x1b\x07\r") {
				t.Errorf("stallwatch %q writes control characters: %q", tt.args, errs+out)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root reads every file: what is tested is a directory given as a file within a path")
	}
	path := writeFile(t, t.TempDir(), "secret.pcap", pcapOf(t, 10, 1))
	os.Chmod(path, 0)
	code, _, errs := stallwatch(t, "replay", path)
	if os.Geteuid() != 0 && (code != 1 || !strings.Contains(errs, "permission denied")) {
		t.Errorf("exit code %d, %q; want 1, permission denied", code, errs)
	}
	code, _, errs = stallwatch(t, "replay", path+"/x.pcap")
	if code != 1 || !strings.Contains(errs, "not a directory") {
		t.Errorf("exit code %d, %q; want 1, not a directory", code, errs)
	}
}

func TestFailOn(t *testing.T) {
	attack, honest := filepath.Join(capturesDir, "iri2018.pcap.zst"), filepath.Join(capturesDir, "honest_mix.pcap.zst")
	for _, tt := range []struct {
		level, file string
		want        int
	}{
		{"warning", attack, 3}, {"critical", attack, 3}, {"warning", honest, 0}, {"critical", honest, 0},
	} {
		if code, _, errs := stallwatch(t, "replay", "--fail-on", tt.level, tt.file); code != tt.want || errs != "" {
			t.Errorf("--fail-on %s %s: exit code %d, %q; want %d and silence", tt.level, tt.file, code, errs, tt.want)
		}
	}
}

func TestReplayOfStdin(t *testing.T) {
	var o, e bytes.Buffer
	code := run(context.Background(), []string{"replay", "-"}, stdio{bytes.NewReader(pcapOf(t, 2000, 1)), &o, &e})
	if code != 0 || !strings.Contains(o.String(), "getNodeInfo") {
		t.Errorf("exit code %d, %q\n%s", code, e.String(), o.String())
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, c := range []string{"watch", "replay", "record", "demo"} {
		code, out, _ := stallwatch(t, c, "--help")
		if code != 0 || !strings.Contains(out, "Examples:") || !strings.Contains(out, "stallwatch "+c) {
			t.Errorf("stallwatch %s --help: exit code %d\n%s", c, code, out)
		}
	}
}
