//go:build linux

// Command makelab plays lab scenarios and leaves their captures; see make.sh
// in testdata/lab, which calls it in a network namespace of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"stallwatch/cmd/internal/demo"
	"stallwatch/cmd/internal/lab"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == demo.NodeCommand {
		os.Exit(demo.NodeMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) == 3 && os.Args[1] == lab.BannerCommand {
		fmt.Fprintln(os.Stderr, "makelab:", lab.Banner(os.Args[2]))
		os.Exit(1)
	}
	if len(os.Args) == 4 && os.Args[1] == lab.LeakyProxyCommand {
		fmt.Fprintln(os.Stderr, "makelab:", lab.LeakyProxy(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	// Descriptors that a shell or CI runner left open would be inherited by
	// the node and counted against its limit.
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
	out := flag.String("out", ".", "directory of the captures")
	list := flag.Bool("list", false, "list the scenarios")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: makelab [-list] [-out DIR] SCENARIO...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		for _, s := range lab.Scenarios() {
			fmt.Printf("%s\t%s\n", s.Name, s.Doc)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := play(ctx, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "makelab:", err)
		os.Exit(1)
	}
}

func play(ctx context.Context, out string, names []string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	all := lab.Scenarios()
	for _, name := range names {
		i := slices.IndexFunc(all, func(s lab.Scenario) bool { return s.Name == name })
		if i < 0 {
			return fmt.Errorf("no scenario %q: see makelab -list", name)
		}
		if err := lab.Run(ctx, all[i], exe, out, os.Stderr); err != nil {
			return err
		}
	}
	return nil
}
