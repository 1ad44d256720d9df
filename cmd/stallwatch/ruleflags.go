package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"stallwatch/cmd/internal/config"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// ruleFlags are the flags of the commands that hold rules against captures.
type ruleFlags struct {
	files []string
	api   string
	ports []string
}

// add defines the flags; what ports are of is for their words.
func (f *ruleFlags) add(c *cobra.Command, ports string) {
	fl := c.Flags()
	fl.StringArrayVar(&f.files, "rules", nil, "a rule `FILE` to lay over the packs (repeatable)")
	fl.StringVar(&f.api, "api", "auto", "the API to ask, as for replay")
	fl.StringArrayVarP(&f.ports, "port", "p", nil, ports+" (default: every port)")
}

// tracker returns what the flags say to the tracker.
func (f *ruleFlags) tracker() (httpreassembly.Options, error) {
	ports, err := config.Ports(f.ports)
	if err != nil {
		return httpreassembly.Options{}, usage(err)
	}
	return httpreassembly.Options{Ports: ports}, nil
}

// load loads the files, and over laid over them, and returns a view of the
// API. What is wrong is printed.
func (f *ruleFlags) load(std stdio, over ...rules.Source) (*rules.Set, error) {
	set, err := rules.LoadOver(over, f.files...)
	if err == nil {
		err = checkSettings(set)
	}
	if err != nil {
		return nil, tellRules(std.err, nearFile(err))
	}
	view, err := set.Select(f.api)
	if err != nil {
		return nil, usage(fmt.Errorf("--api: %w", err))
	}
	return view, nil
}
