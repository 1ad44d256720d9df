package main

import (
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture/live"
)

// clockLog tells when the clock is set back: a line each time. From then on
// what is told is ahead of it, since time never goes back. That it is set
// forward is told with what was not watched.
type clockLog struct {
	log   zerolog.Logger
	shift time.Duration // as told
}

// look is called about once a second.
func (c *clockLog) look(st live.Stats) {
	before := c.shift
	switch c.shift = st.Shift; {
	case st.Shift-before >= time.Second:
		c.log.Warn().Float64("ahead_seconds", st.Shift.Seconds()).
			Msg("the clock of this machine was set back: the times that are told go on from before, ahead of it, until it is set forward again; restart stallwatch to go by it")
	case before-st.Shift >= time.Second:
		c.log.Info().Float64("ahead_seconds", st.Shift.Seconds()).
			Msg("the clock of this machine was set forward again, after it was set back")
	}
}
