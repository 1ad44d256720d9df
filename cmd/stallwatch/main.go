// Stallwatch watches the API port of a node and reports calls that stall,
// sockets that pile up in CLOSE_WAIT and descriptors that run out, while it
// happens. See the README for what it is, and "stallwatch help" for how.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"stallwatch/rules"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// stdio is the operating system's three files, an argument so that tests can
// run the whole program.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// The exit codes. Scripts depend on them.
const (
	exitOK    = 0
	exitError = 1 // something went wrong while running; for a replay, a file that could not be read to its end
	exitUsage = 2 // the command line or the configuration is wrong
	exitFound = 3 // --fail-on: an alert of that severity fired
)

// usageError is the operator's mistake on the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// errFound ends a replay whose alerts reached --fail-on.
var errFound = errors.New("an alert reached the severity of --fail-on")

// errReported ends a run whose errors have been told already.
var errReported = errors.New("")

func run(ctx context.Context, args []string, std stdio) int {
	root := newRoot(std)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	tell(std.err, err)
	return exitCode(err)
}

// tell prints what ended a run: one line, but for rule files, which may have
// several mistakes, each with its place.
func tell(w io.Writer, err error) {
	var u usageError
	var inRules *rules.FileError
	switch {
	case err == nil || errors.Is(err, errFound) || errors.Is(err, errReported):
	case errors.As(err, &u) && errors.As(err, &inRules):
		tellRules(w, u.err)
	default:
		fmt.Fprintf(w, "stallwatch: %v\n", err)
	}
}

func exitCode(err error) int {
	var u usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFound
	case errors.As(err, &u):
		return exitUsage
	}
	return exitError
}

func newRoot(std stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "stallwatch",
		Short: "See a node's API calls stall before the node does",
		Long: `stallwatch reads the packets of a node's API port, follows every call, and
reports the ones that hang while they hang: which command, which clients, how
many sockets and descriptors they hold, and when the node will run out.
It never sends a packet to the watched port.`,
		Example: `  stallwatch watch                          watch port 14265 on every interface
  stallwatch watch -p 8545 --api jsonrpc    an Ethereum node
  stallwatch replay incident.pcap           what happened in a capture
  stallwatch record -w node.pcap            capture, with the node's descriptors beside it
  stallwatch demo                           the attack of January 2018 on this machine`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		Version:       version(),
	}
	upper := root.Flags().BoolP("V", "V", false, "")
	root.Flags().MarkHidden("V") // the habit of half the trade; -v is the other half's
	root.RunE = func(c *cobra.Command, _ []string) error {
		if *upper {
			_, err := fmt.Fprintln(std.out, version())
			return err
		}
		return c.Help()
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w%s; see %q", err, nearFlag(c, err), c.CommandPath()+" --help"))
	})
	root.AddCommand(newWatch(std), newReplay(std), newRecord(std), newDemo(std), newDemoNode(std), newRules(std), newBacktest(std), newAdvise(std), newNotify(std), newVersion(std))
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
	}
	root.Args = usageArgs(root.Args)
	helpArgs(root)
	return root
}

// helpArgs makes "help TOPIC" refuse a topic that is no command: cobra prints
// the help of the command above it as if that had been asked for.
func helpArgs(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Args = func(_ *cobra.Command, topic []string) error {
				c, rest, err := root.Find(topic)
				if err == nil && len(rest) > 0 {
					err = fmt.Errorf("unknown command %q for %q%s", rest[0], c.CommandPath(), nearWord(c, rest))
				}
				return usage(err)
			}
		}
	}
}

// atLeastOne asks for an argument in words that say which.
func atLeastOne(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New(missing)
		}
		return nil
	}
}

// usageArgs makes an argument check's error a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(c, args); err != nil {
			return usage(fmt.Errorf("%w%s; see %q", err, nearWord(c, args), c.CommandPath()+" --help"))
		}
		return nil
	}
}
