package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stallwatch/rules"
)

// didYouMean proposes the nearest of names for one that is not known; "" if
// none is near.
func didYouMean(name string, names []string) string {
	if best := rules.Nearest(name, names, len(name)); best != "" {
		return " (did you mean " + best + "?)"
	}
	return ""
}

// nearCommand proposes the nearest name of a command of the rules. Of routes
// the paths are compared, among those of the same method: "GET " is not what
// somebody mistyped.
func nearCommand(set *rules.Set, name string) string {
	method, path, isRoute := strings.Cut(name, " ")
	var names []string
	for _, c := range set.Commands() {
		if !isRoute {
			names = append(names, c.Name)
		} else if template, ok := strings.CutPrefix(c.Name, method+" "); ok {
			names = append(names, template)
		}
	}
	if !isRoute {
		return didYouMean(name, names)
	}
	if best := rules.Nearest(path, names, len(path)); best != "" {
		return " (did you mean " + method + " " + best + "?)"
	}
	return ""
}

// nearWord proposes the nearest sub-command.
func nearWord(c *cobra.Command, args []string) string {
	if len(args) == 0 || !c.HasAvailableSubCommands() {
		return ""
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return didYouMean(args[0], names)
}

// nearFlag proposes the nearest flag for one that a command does not have.
func nearFlag(c *cobra.Command, err error) string {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return ""
	}
	name, names := missing.GetSpecifiedName(), []string(nil)
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if len(name) < 2 { // a shorthand: one letter is near every other
		return ""
	}
	if best := rules.Nearest(name, names, len(name)); best != "" {
		return " (did you mean --" + best + "?)"
	}
	return ""
}

// maxEntries bounds the names of a directory that are compared.
const maxEntries = 1000

// nearFile proposes what was meant by a rule file that is not there: its
// neighbour of nearly that name, or an API, whose pack needs no file.
func nearFile(err error) error {
	var missing *fs.PathError
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &missing) {
		return err
	}
	if slices.Contains(rules.Default().APIs(), missing.Path) {
		return fmt.Errorf("%w; the packs are built in: --api %s chooses one", err, missing.Path)
	}
	dir, base := filepath.Split(missing.Path)
	d, openErr := os.Open(filepath.Clean(dir))
	if openErr != nil {
		return err
	}
	defer d.Close()
	names, _ := d.Readdirnames(maxEntries) // what could be read will do
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(n string) bool { return n == base }) // a link to nothing
	if best := rules.Nearest(base, names, 3); best != "" {
		return fmt.Errorf("%w (did you mean %s?)", err, dir+best)
	}
	return err
}
