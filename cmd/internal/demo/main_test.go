package demo

import (
	"os"
	"testing"
)

// TestMain lets the test binary be the node, as the program does with its
// hidden sub-command.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == NodeCommand {
		os.Exit(NodeMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
