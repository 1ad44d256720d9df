package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// arrows is the floor plan: what each package of the project may import,
// besides the standard library. A package that is not listed, or an import
// that is not, fails the test; so does a ban broken deep below (see bans).
var arrows = map[string]string{
	"capture":                   "",
	"capture/vtime":             "capture",
	"rules":                     "github.com/goccy/go-yaml github.com/expr-lang/expr github.com/klauspost/compress",
	"httpreassembly":            "capture capture/vtime golang.org/x/net/http2/hpack",
	"detect":                    "capture capture/vtime httpreassembly rules",
	"capture/decode":            "capture github.com/google/gopacket",
	"capture/replay":            "capture capture/vtime github.com/google/gopacket/pcapgo github.com/klauspost/compress",
	"capture/host":              "capture github.com/prometheus/procfs golang.org/x/sys github.com/mdlayher/netlink",
	"capture/live":              "capture capture/vtime github.com/google/gopacket kernel.org/pub/linux/libs/security/libcap golang.org/x/sys",
	"cmd/internal/pipeline":     "capture capture/decode httpreassembly rules detect",
	"cmd/internal/config":       "",
	"cmd/internal/freeport":     "",
	"cmd/internal/text":         "*",
	"cmd/internal/records":      "*",
	"cmd/internal/report":       "*",
	"cmd/internal/metrics":      "*",
	"cmd/internal/status":       "*",
	"cmd/internal/demo":         "*",
	"cmd/internal/lab":          "*",
	"cmd/internal/lab/makelab":  "*",
	"cmd/internal/kernellab":    "*",
	"cmd/internal/notify":       "*",
	"cmd/internal/notify/spool": "",
	"cmd/internal/peers":        "*",
	"cmd/internal/evidence":     "*",
	"cmd/internal/advise":       "*",
	"cmd/internal/synth":        "capture capture/vtime",
	"cmd/internal/bench":        "capture cmd/internal/synth golang.org/x/sys",
	"cmd/internal/ruletest":     "*",
	"cmd/internal/hours":        "", // tests only
	"cmd/stallwatch":            "*",
}

// below lists what "*" may not reach: the rim imports the core, the core
// never the rim, and no package of the rim imports main.
var below = regexp.MustCompile(`^cmd/stallwatch$`)

const module = "stallwatch/"

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImportTable(t *testing.T) {
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		pkg, imports, _ := strings.Cut(strings.TrimPrefix(line, module), " ")
		allowed, listed := arrows[pkg]
		if !listed {
			t.Errorf("package %s is not in the floor plan: add it to the table with what it may import", pkg)
			continue
		}
		for _, imp := range strings.Fields(imports) {
			if why := refuse(pkg, imp, allowed); why != "" {
				t.Errorf("%s imports %s: %s", pkg, imp, why)
			}
		}
	}
}

// refuse says why pkg may not import imp; "" means that it may.
func refuse(pkg, imp, allowed string) string {
	own, ours := strings.CutPrefix(imp, module)
	if first, _, _ := strings.Cut(imp, "/"); !ours && !strings.Contains(first, ".") {
		return "" // standard library: see TestCoreStaysPure
	}
	if ours && below.MatchString(own) {
		return "main is the top of the house"
	}
	if allowed == "*" {
		return ""
	}
	for _, a := range strings.Fields(allowed) {
		if ours && own == a || !ours && (imp == a || strings.HasPrefix(imp, a+"/")) {
			return ""
		}
	}
	if ours {
		return "imports run strictly downwards, and this arrow is not in the table"
	}
	return "a dependency that the table does not give to this package"
}

// core are the packages that decide. They take now as an argument, own no
// goroutine and no logger, and build without cgo, libpcap, Linux or root.
var core = []string{"capture", "capture/vtime", "httpreassembly", "rules", "detect"}

// bans are packages that no part of the core may reach, even indirectly, with
// the reason.
var bans = map[string]string{
	"runtime/cgo":                           "the core builds without cgo",
	"github.com/google/gopacket/pcap":       "libpcap belongs to capture/live alone",
	"github.com/google/gopacket/reassembly": "its sequence arithmetic wraps by 2^32-1 and its page budget leaks",
	"github.com/rs/zerolog":                 "the core reports by value, it does not log",
	"github.com/prometheus/client_golang":   "metrics are made at the rim from plain numbers",
	"net/http":                              "the core parses HTTP, it does not speak it",
	"os/exec":                               "the core starts nothing",
}

func TestCoreStaysPure(t *testing.T) {
	for _, pkg := range core {
		for _, dep := range goList(t, "-deps", "./"+pkg) {
			for ban, why := range bans {
				if dep == ban || strings.HasPrefix(dep, ban+"/") {
					t.Errorf("%s reaches %s: %s", pkg, dep, why)
				}
			}
		}
	}
}

var impure = regexp.MustCompile(`\btime\.(Now|Sleep|After|Tick|NewTimer|NewTicker|Since|Until)\b|^\s*go (func|[a-z])`)

func TestCoreAsksNoClock(t *testing.T) {
	for _, pkg := range append([]string{"capture/decode", "capture/replay", "cmd/internal/pipeline"}, core...) {
		for _, line := range goList(t, "-f", `{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}} {{end}}`, "./"+pkg) {
			for _, file := range strings.Fields(line) {
				checkPure(t, file)
			}
		}
	}
}

// checkPure fails the test for every line of file that asks the clock or
// starts a goroutine.
func checkPure(t *testing.T, file string) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(src), "\n") {
		code, _, _ := strings.Cut(line, "//")
		if impure.MatchString(code) {
			t.Errorf("%s:%d: %q: time comes with the Items, and goroutines live at the rim", file, i+1, strings.TrimSpace(line))
		}
	}
}
