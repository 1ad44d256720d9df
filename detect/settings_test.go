package detect

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"stallwatch/rules"
)

func TestSettingsAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range (Options{}).Settings() {
		key := s.Detector + "." + s.Name
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if s.Doc == "" {
			t.Errorf("%s: say what it means in settingDocs", key)
		}
		if s.Value != s.Default || s.Value == "0" || s.Value == "0s" {
			t.Errorf("%s: value %s, default %s", key, s.Value, s.Default)
		}
		if order(s.Detector) < 0 && s.Detector != engineSection {
			t.Errorf("%s: no detector has this name; add it to sections", key)
		}
	}
	for key := range settingDocs {
		if !seen[key] {
			t.Errorf("settingDocs has %s, Options has not", key)
		}
	}
}

func TestWithRules(t *testing.T) {
	o, err := Options{Workers: 32}.WithRules(ownRules(t, `
detectors:
  engine: {keep_firing: 20s, workers: 64, fd_limit: 65535}
  CallStalled: {min_calls: 5, other_get: true, warn_floor: 12s}
  DescriptorExhaustion: {fast_horizon: 2m, warn: 0.7}
  CloseWaitBuildup: {enabled: false}
`))
	if err != nil {
		t.Fatal(err)
	}
	if o.KeepFiring != 20*time.Second || o.FDLimit != 65535 || o.CallStalled.MinCalls != 5 || !o.CallStalled.OtherGET ||
		o.CallStalled.WarnFloor != 12*time.Second || o.Descriptors.Fast.Horizon != 2*time.Minute || o.Descriptors.Warn != 0.7 {
		t.Errorf("got %+v", o)
	}
	if o.Workers != 32 {
		t.Errorf("workers %d: what the caller set must stay", o.Workers)
	}
	if !reflect.DeepEqual(o.Off, []string{"CloseWaitBuildup"}) {
		t.Errorf("off: %q", o.Off)
	}
	for _, s := range o.Settings() {
		if s.Detector == "CallStalled" && s.Name == "min_calls" && (s.Value != "5" || s.Default != "3") {
			t.Errorf("got %+v", s)
		}
	}
}

func TestWithRulesRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"detectors:\n  CallStaled: {min_calls: 3}\n", `:2:3: no detector is named "CallStaled" (did you mean CallStalled?)`},
		{"detectors:\n  CallStalled: {min_call: 3}\n", `:2:17: CallStalled has no setting "min_call" (did you mean min_calls?)`},
		{"detectors:\n  CallStalled: {min_calls: 3s}\n", `:2:28: min_calls is the text "3s", want a whole number`},
		{"detectors:\n  CallStalled: {min_calls: 0}\n", `:2:28: min_calls is 0: it must be greater than 0`},
		{"detectors:\n  CallStalled: {warn_floor: 3}\n", `:2:29: warn_floor has no unit (write the unit: like 500ms, 10s, 2m)`},
		{"detectors:\n  CaptureLoss: {enabled: no}\n", `:2:26: enabled is the text "no", want true or false`},
		{"detectors:\n  DescriptorExhaustion: {warn: 0.99}\n", `:2:32: Descriptors.Warn is 0.99: it must be greater than 0 and at most Descriptors.Critical, which is 0.95`},
		{"detectors:\n  DescriptorExhaustion: {critical: 0.9, warn: 0.95}\n", `:2:47: Descriptors.Warn is 0.95`},
		{"detectors:\n  AcceptQueueFull: {within: 10m}\n", `:2:29: AcceptQueue.Within in seconds is 600`},
		{"alerts:\n  - {alert: CallStalled, when: 'calls > 1'}\n", `:2:13: CallStalled is an alert of the program (give it a name of its own)`},
	} {
		set := ownRules(t, tt.text)
		o, err := Options{}.WithRules(set)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got  %v\nwant %s\nof\n%s", err, tt.want, tt.text)
		}
		if o.Rules != nil {
			t.Errorf("options are half made of\n%s", tt.text)
		}
	}
}

// TestReload changes rules while calls hang.
func TestReload(t *testing.T) {
	first := ownRules(t, `
alerts:
  - {alert: Kept, by: command, more_than: 3 per 1m, when: 'command == "getTransactionsToApprove"'}
  - {alert: Gone, when: 'calls > 0'}
`)
	o, err := Options{}.WithRules(first)
	if err != nil {
		t.Fatal(err)
	}
	d := newDrive(t, o)
	for range 3 {
		d.call("192.0.2.1", tipsBody)
	}
	d.wait(31 * time.Second)

	second, err := first.Reload(writeRules(t, `
apis:
  - name: iri
    commands:
      - {name: aNewOne, class: fast}
      - {name: getTransactionsToApprove, warn: 20s, critical: 60s}
detectors:
  CallStalled: {critical_age: 3}
alerts:
  - {alert: Kept, by: command, more_than: 3 per 1m, when: 'command == "getTransactionsToApprove"'}
`))
	if err != nil {
		t.Fatal(err)
	}
	if o, err = (Options{}).WithRules(second); err != nil {
		t.Fatal(err)
	}
	if err := d.e.Reload(o); err != nil {
		t.Fatal(err)
	}
	d.set = second
	d.call("192.0.2.1", tipsBody) // the fourth within the minute: the count went on
	d.call("192.0.2.1", `{"command":"aNewOne"}`)
	d.wait(30 * time.Second)

	var stalled, kept, gone []string
	commands := map[string]bool{}
	for _, f := range d.out {
		if f.Kind == CallPending {
			commands[f.Pending.Call.Command.Name] = true
		}
		if f.Kind != AlertChanged {
			continue
		}
		line := f.Alert.State.String() + " " + f.Alert.Subject
		switch f.Alert.Name {
		case "CallStalled":
			if f.Alert.Command == "aNewOne" {
				continue
			}
			stalled = append(stalled, line)
		case "Kept":
			kept = append(kept, line)
		case "Gone":
			gone = append(gone, line)
		}
	}
	if got := strings.Join(stalled, ", "); got != "firing 198.51.100.1:14265 getTransactionsToApprove" {
		t.Errorf("the incident did not survive as one: %s", got)
	}
	if len(kept) != 1 || !strings.HasPrefix(kept[0], "firing") {
		t.Errorf("the count of an unchanged rule did not go on: %q", kept)
	}
	if len(gone) != 2 || !strings.HasPrefix(gone[1], "resolved") {
		t.Errorf("the incident of a rule that is gone is not resolved: %q", gone)
	}
	if !commands["aNewOne"] {
		t.Errorf("a new command has no budget: %v", commands)
	}
	if err := d.e.Reload(Options{Rules: rules.Default()}); err == nil {
		t.Error("rules that do not continue the present ones were taken")
	}
	bad := o
	bad.CloseWait.Share, bad.CloseWait.CritShare = 0.9, 0.1
	if err := d.e.Reload(bad); err == nil || d.e.o.CloseWait.Share == 0.9 {
		t.Errorf("options that make no sense were taken: %v", err)
	}
}

// FuzzWithRules: settings are refused with their place, or make options that
// an Engine takes.
func FuzzWithRules(f *testing.F) {
	for _, text := range []string{"CallStalled: {min_calls: 3}", "DescriptorExhaustion: {warn: 1e-9, critical: 1e9}", "engine: {workers: 0x7fffffff}",
		"AcceptQueueFull: {within: 30s, syns: 1}", "CaptureLoss: {enabled: false, min_bytes: 18446744073709551615}", "CallStalled: {warn_floor: 24h}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := rules.Compile(rules.Source{Name: "base.yaml", Data: []byte("apis: [{name: x, named_by: route}]\n")},
			rules.Source{Name: "own.yaml", Data: []byte("detectors: {" + text + "}\n")})
		if err != nil {
			return
		}
		o, err := Options{}.WithRules(set)
		if err != nil {
			if !strings.Contains(err.Error(), "own.yaml:") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		if _, err := New(o); err != nil {
			t.Fatalf("%q: options that no engine takes: %v", text, err)
		}
	})
}

// TestDigest: the digest follows what the settings say, not how they are
// written.
func TestDigest(t *testing.T) {
	none := Digest(rules.Default())
	set := func(s string) string { return Digest(ownRules(t, "detectors:\n  CallStalled: {"+s+"}\n")) }
	changed := set("min_calls: 5, warn_floor: 9s")
	for _, tt := range []struct {
		name, settings, want string
	}{
		{"the default", "min_calls: 3, enabled: true", none},
		{"in other words", "warn_floor: 9000ms, min_calls: 5", changed},
	} {
		if got := set(tt.settings); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if off := set("enabled: false"); changed == none || off == none || off == changed || len(off) != 16 {
		t.Errorf("different settings have one digest: none %s, changed %s, off %s", none, changed, off)
	}
}
