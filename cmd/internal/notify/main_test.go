package notify

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets many tests run at once: they wait for sockets and backoffs,
// not for processors.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == victimArg {
		victim(os.Args[2:])
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
