package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"stallwatch/cmd/internal/ruletest"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/rules"
)

func newRules(std stdio) *cobra.Command {
	c := &cobra.Command{
		Use:   "rules",
		Short: "Check, show, explain and test rule files",
		Long: `Rule files say how an API names its commands, what may be expected of each,
when the detectors fire, and what alerts of your own there are. Later files are
laid over earlier ones and over the packs that are built in. "rules show --doc"
prints the whole format.`,
		Example: `  stallwatch rules check own.yaml
  stallwatch rules show own.yaml | less
  stallwatch rules explain --rules own.yaml request.http
  stallwatch rules test own_test.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRulesCheck(std), newRulesShow(std), newRulesExplain(std), newRulesTest(std))
	for _, sub := range c.Commands() {
		sub.Args = usageArgs(sub.Args)
	}
	return c
}

func newRulesCheck(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Say whether rule files can be loaded, and if not, where and why",
		Example: `  stallwatch rules check own.yaml
  stallwatch rules check own.yaml && systemctl reload stallwatch`,
		Args: atLeastOne("which rule files? name them"),
		RunE: func(_ *cobra.Command, args []string) error {
			set, o, err := loadRules(args)
			if err != nil {
				return tellRules(std.err, err)
			}
			changed := 0
			for _, s := range o.Settings() {
				if s.Value != s.Default {
					changed++
				}
			}
			_, err = fmt.Fprintf(std.out, "%s: good: %d commands of %d APIs; settings changed: %d; free rules: %d; digest %s\n",
				strings.Join(escaped(args), ", "), len(set.Commands()), len(set.APIs()), changed, len(set.Alerts()), detect.Digest(set))
			return err
		},
	}
}

func newRulesShow(std stdio) *cobra.Command {
	var doc bool
	c := &cobra.Command{
		Use:   "show [FILE...]",
		Short: "Print the effective whole: packs, files and defaults, as one rule file",
		Example: `  stallwatch rules show | less                   all that is built in
  stallwatch rules show own.yaml > effective.yaml
  stallwatch rules show --doc > REFERENCE.md`,
		RunE: func(_ *cobra.Command, args []string) error {
			set, o, err := loadRules(args)
			if err != nil {
				return tellRules(std.err, err)
			}
			if doc {
				_, err = io.WriteString(std.out, reference(set, o))
			} else {
				_, err = std.out.Write(showRules(set, o))
			}
			return err
		},
	}
	c.Flags().BoolVar(&doc, "doc", false, "print the documentation of the format, of every detector and setting (Markdown)")
	return c
}

func newRulesTest(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:     "test FILE...",
		Short:   "Run unit tests of rule files",
		Example: `  stallwatch rules test own_test.yaml`,
		Long: `A test file holds tests; each plays a capture or a written trace, and says what
fires at an instant: these alerts, and no others.

  rules: [own.yaml]                # beside the test file
  tests:
    - name: a client that asks too often
      trace:
        - {at: 5s, command: getTransactionsToApprove, answer: 20ms, every: 100ms, times: 40}
      expect:
        - at: 10s
          firing: [{alert: TooManyTips, severity: critical, client: 192.0.2.1}]
        - {at: 60s, firing: []}
    - name: last week's incident
      capture: incident.pcap.zst
      expect:
        - {at: 65s, firing: [{alert: CallStalled, command: getTransactionsToApprove}]}

An alert that fires and that no line names fails the test. A step of a trace
has: at, every, times, clients; client, server; command, or method, target,
body, user_agent; answer (after so long; never without), status, bytes; leave,
reset (the client goes after), close (the server does); or instead of a call
refused, unanswered, lost: N, or sample: {fds, fd_limit, close_wait, unaccepted,
queue, queue_max}.`,
		Args: atLeastOne("which tests? name their files"),
		RunE: func(_ *cobra.Command, args []string) error { return runRulesTest(std, args) },
	}
}

func runRulesTest(std stdio, files []string) error {
	failed := 0
	for _, name := range files {
		f, err := ruletest.Read(name)
		if err != nil {
			return usage(fmt.Errorf("read tests: %w", err))
		}
		results, err := f.Run()
		if err != nil {
			return tellRules(std.err, err)
		}
		fmt.Fprintf(std.out, "%s\n", text.Escape(name))
		for _, r := range results {
			word := "ok  "
			if len(r.Failures) > 0 {
				word = "FAIL"
				failed++
			}
			fmt.Fprintf(std.out, "  %s  %s\n", word, r.Name)
			for _, line := range r.Failures {
				fmt.Fprintf(std.out, "        %s\n", line)
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d tests failed", failed)
	}
	return nil
}

// loadRules loads rule files over the packs, and checks everything that they
// say: the detectors' settings too, which package rules does not know.
func loadRules(files []string) (*rules.Set, detect.Options, error) {
	set, err := rules.Load(files...)
	if err != nil {
		return nil, detect.Options{}, nearFile(err)
	}
	o, err := detect.Options{}.WithRules(set)
	return set, o, err
}

// checkSettings checks what package rules does not know.
func checkSettings(set *rules.Set) error {
	_, err := detect.Options{}.WithRules(set)
	return err
}

// tellRules prints what is wrong with rule files, an error a line with the
// place in the file below it, and returns what ends the run.
func tellRules(w io.Writer, err error) error {
	for _, e := range joined(err) {
		var f *rules.FileError
		if !errors.As(e, &f) {
			fmt.Fprintf(w, "stallwatch: %s\n", text.Escape(e.Error()))
			continue
		}
		named := *f // its other words are escaped already
		named.File = text.Escape(f.File)
		fmt.Fprintf(w, "stallwatch: %s\n", named.Error())
		if p := f.Pointer(); p != "" {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(strings.TrimSuffix(p, "\n"), "\n", "\n  "))
		}
	}
	return usage(errReported)
}

// joined takes errors.Join apart.
func joined(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var list []error
		for _, e := range many.Unwrap() {
			list = append(list, joined(e)...)
		}
		return list
	}
	return []error{err}
}

func escaped(names []string) []string {
	var list []string
	for _, n := range names {
		list = append(list, text.Escape(filepath.Clean(n)))
	}
	return list
}

// showRules is the effective whole as a rule file.
func showRules(set *rules.Set, o detect.Options) []byte {
	out := fmt.Appendf(nil, "# The rules in force, digest %s.\n\n", detect.Digest(set))
	out = set.AppendYAML(out)
	out = append(out, "\ndetectors:\n"...)
	last := ""
	for _, s := range o.Settings() {
		if s.Detector != last {
			out = fmt.Appendf(out, "  %s:\n", s.Detector)
			last = s.Detector
		}
		note := "default"
		if s.Value != s.Default {
			note = "default " + s.Default
		}
		out = fmt.Appendf(out, "    %-26s # %s; %s\n", s.Name+": "+s.Value, note, s.Doc)
	}
	return out
}
