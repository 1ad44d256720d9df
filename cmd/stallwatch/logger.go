package main

import (
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// newLogger makes the program's log: console style on a terminal, JSON
// otherwise, unless format says which.
func newLogger(w io.Writer, format string) (zerolog.Logger, error) {
	console := isTerminal(w)
	switch format {
	case "auto":
	case "console":
		console = true
	case "json":
		console = false
	default:
		return zerolog.Nop(), usage(fmt.Errorf("--log-format %q: want auto, console or json", format))
	}
	if console {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !isTerminal(w), TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).With().Timestamp().Logger(), nil
}
