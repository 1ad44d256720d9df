package ruletest

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Result is how a test went. It passed iff Failures is empty.
type Result struct {
	Name     string
	Failures []string // a line each, printable
}

// Run runs every test of the file. The error is about the file or its
// captures; a test that fails is no error.
func (f *File) Run() ([]Result, error) {
	set, err := rules.Load(f.beside(f.Rules)...)
	if err != nil {
		return nil, err
	}
	view, err := set.Select(f.API)
	if err != nil {
		return nil, fmt.Errorf("%s: api: %w", f.Name, err)
	}
	var results []Result
	for i := range f.Tests {
		t := &f.Tests[i]
		timeline, start, err := f.play(t, view)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Name, brief(t.Name), err)
		}
		results = append(results, Result{brief(t.Name), t.judge(timeline, start)})
	}
	return results, nil
}

// beside makes names relative to the test file's place.
func (f *File) beside(names []string) []string {
	var list []string
	for _, n := range names {
		if !filepath.IsAbs(n) {
			n = filepath.Join(filepath.Dir(f.Name), n)
		}
		list = append(list, n)
	}
	return list
}

// play runs a test's packets and returns what fired, and when it began.
func (f *File) play(t *Test, set *rules.Set) (*Timeline, capture.Time, error) {
	timeline := &Timeline{}
	p, err := pipeline.New(pipeline.Options{Rules: set, Tracker: httpreassembly.Options{Ports: f.Ports}}, timeline)
	if err != nil {
		return nil, 0, err
	}
	last := time.Duration(0)
	for _, e := range t.Expect {
		last = max(last, time.Duration(e.At))
	}
	if t.Capture != "" {
		start, err := Replay(p, f.beside([]string{t.Capture})[0], last)
		return timeline, start, err
	}
	var w Wire
	end, err := write(&w, t.Trace, set)
	if err != nil {
		return nil, 0, err
	}
	items := w.Items(max(end.Add(time.Second), Epoch.Add(last+time.Second)))
	for i := range items {
		p.Item(&items[i])
	}
	p.Finish(items[len(items)-1].At)
	return timeline, Epoch, nil
}

// Replay feeds a capture to p, and time until last after its first packet,
// which is what it returns.
func Replay(p *pipeline.Pipeline, name string, last time.Duration) (start capture.Time, err error) {
	src, err := replay.Open([]string{name}, replay.Options{})
	if err != nil {
		return 0, err
	}
	defer src.Close()
	var it capture.Item
	var now capture.Time
	for {
		if err = src.Next(&it); err != nil {
			break
		}
		if start == 0 && it.Kind == capture.PacketSeen {
			start = it.At
		}
		p.Item(&it)
		now = it.At
	}
	if start != 0 && last > 0 && now < start.Add(last) {
		now = start.Add(last)
		p.Item(&capture.Item{At: now})
	}
	p.Finish(now)
	if err == io.EOF {
		err = nil
	}
	for _, e := range src.Errors() {
		err = errors.Join(err, &e)
	}
	if err == nil && start == 0 {
		err = fmt.Errorf("%s holds no packet", name)
	}
	return start, err
}

// judge compares what fired with what was expected. An alert that fires
// otherwise than was wanted is told once, with what differs.
func (t *Test) judge(timeline *Timeline, start capture.Time) []string {
	var failures []string
	named := map[string]bool{}
	told := map[string]bool{} // what nobody expected, by name
	for _, e := range t.Expect {
		at := time.Duration(e.At)
		fail := func(format string, args ...any) {
			failures = append(failures, fmt.Sprintf("at %s: ", at)+fmt.Sprintf(format, args...))
		}
		firing := timeline.FiringAt(start.Add(at))
		var missing []*Alert
		for i := range e.Firing {
			want := &e.Firing[i]
			named[want.Alert] = true
			if i := want.find(firing); i >= 0 {
				firing = slices.Delete(firing, i, i+1)
			} else {
				missing = append(missing, want)
			}
		}
		for _, want := range missing {
			i := slices.IndexFunc(firing, func(a detect.Alert) bool { return a.Name == want.Alert })
			if i < 0 {
				fail("want %s: it does not fire", want.words())
				continue
			}
			fail("want %s: it fires with %s", want.words(), want.differs(&firing[i]))
			firing = slices.Delete(firing, i, i+1)
		}
		for i := range firing {
			told[firing[i].Name] = true
			fail("got %s: nobody expected it", words(&firing[i]))
		}
	}
	for i := range timeline.Changes {
		a := &timeline.Changes[i]
		if !named[a.Name] && !told[a.Name] && a.State == detect.Firing {
			told[a.Name] = true
			failures = append(failures, fmt.Sprintf("at %s: got %s: no line expects that alert at any time", a.At.Sub(start).Round(time.Millisecond), words(a)))
		}
	}
	return failures
}

// find returns the first alert that is as wanted, -1 if none is.
func (a *Alert) find(firing []detect.Alert) int {
	for i := range firing {
		f := &firing[i]
		client := ""
		if f.Client.IsValid() {
			client = f.Client.String()
		}
		same := func(want, got string) bool { return want == "" || want == got }
		if a.Alert == f.Name && same(a.Severity, f.Severity.String()) && same(a.Subject, f.Subject) && same(a.Client, client) &&
			same(a.Command, f.Command) && same(a.Server, f.Server.String()) && same(a.Summary, f.Summary) {
			return i
		}
	}
	return -1
}

// differs says what an alert of the wanted name has in place of what is
// wanted.
func (a *Alert) differs(f *detect.Alert) string {
	got := Alert{Server: f.Server.String()}
	if f.Client.IsValid() {
		got.Client = f.Client.String()
	}
	got.Severity, got.Subject, got.Command, got.Summary = f.Severity.String(), f.Subject, f.Command, f.Summary
	var list []string
	for _, l := range []struct{ name, want, got string }{
		{"severity", a.Severity, got.Severity}, {"subject", a.Subject, got.Subject}, {"client", a.Client, got.Client},
		{"command", a.Command, got.Command}, {"server", a.Server, got.Server}, {"summary", a.Summary, got.Summary},
	} {
		if l.want != "" && l.want != l.got {
			list = append(list, fmt.Sprintf("%s=%q", l.name, rules.Escape([]byte(l.got), 200)))
		}
	}
	return strings.Join(list, " ")
}

func (a *Alert) words() string {
	var b strings.Builder
	b.WriteString(brief(a.Alert))
	for _, l := range [][2]string{{"severity", a.Severity}, {"subject", a.Subject}, {"client", a.Client}, {"command", a.Command}, {"server", a.Server}, {"summary", a.Summary}} {
		if l[1] != "" {
			fmt.Fprintf(&b, " %s=%q", l[0], rules.Escape([]byte(l[1]), 200))
		}
	}
	return b.String()
}

func words(a *detect.Alert) string {
	w := Alert{Alert: a.Name, Severity: a.Severity.String(), Subject: a.Subject, Command: a.Command, Summary: a.Summary}
	if a.Client.IsValid() {
		w.Client = a.Client.String()
	}
	return w.words()
}
