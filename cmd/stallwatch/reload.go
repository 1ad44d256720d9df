package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/rules"
)

// reloader reads the rule files anew on SIGHUP. The reading happens in a
// goroutine of its own, since a disk may be slow and packets do not wait; the
// pipeline's goroutine takes what was found good between two Items.
type reloader struct {
	log   zerolog.Logger
	files []string
	api   string
	base  *rules.Set // before Select; the reading goroutine owns it
	ready chan *rules.Set
	hup   chan os.Signal
	done  chan struct{}

	rotate func() // what else SIGHUP asks for; nil is nothing
}

func newReloader(log zerolog.Logger, a *analysis, rotate func()) *reloader {
	r := &reloader{log: log, files: a.rules, api: a.api, base: a.base, rotate: rotate,
		ready: make(chan *rules.Set, 1), hup: make(chan os.Signal, 1), done: make(chan struct{})}
	signal.Notify(r.hup, syscall.SIGHUP)
	go r.run()
	return r
}

// stop ends the goroutine.
func (r *reloader) stop() {
	signal.Stop(r.hup)
	close(r.hup)
	<-r.done
}

func (r *reloader) run() {
	defer close(r.done)
	for range r.hup {
		if r.rotate != nil {
			r.rotate()
		}
		next, err := r.base.Reload(r.files...)
		var view *rules.Set
		if err == nil {
			view, err = next.Select(r.api)
		}
		if err != nil {
			r.log.Error().Err(err).Msg("rules are not reloaded: the old ones stay in force")
			continue
		}
		r.base = next
		select {
		case <-r.ready: // an older set that nobody took yet
		default:
		}
		r.ready <- view
	}
}

// apply puts new rules in force, if there are any.
func (r *reloader) apply(p *pipeline.Pipeline) {
	select {
	case set := <-r.ready:
		if err := p.Reload(set); err != nil {
			r.log.Error().Err(err).Msg("rules are not reloaded: the old ones stay in force")
			return
		}
		r.log.Info().Str("digest", detect.Digest(set)).Msg("rules reloaded")
	default:
	}
}
