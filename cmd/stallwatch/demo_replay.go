package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/demo"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
	"stallwatch/testdata/captures"
)

// replayDemo plays the recording that is part of the program.
func replayDemo(ctx context.Context, std stdio, why error) error {
	fmt.Fprintf(std.out, "Without the right to capture this replays a recording of the play.\n(%v)\n\n", why)
	dir, err := os.MkdirTemp("", "stallwatch-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, play, err := unpackPlay(dir)
	if err != nil {
		return err
	}
	src, err := replay.Open([]string{path}, replay.Options{})
	if err != nil {
		return err
	}
	defer src.Close()
	st := newStage(std.out)
	pipe, err := pipeline.New(demoOptions(play.Node.Port()), &cast{stage: st, steps: stepsOf(play)})
	if err != nil {
		return err
	}
	err = readAll(ctx, src, pipe, nil)
	st.sum()
	return err
}

// unpackPlay writes the recording and the host's evidence into dir.
func unpackPlay(dir string) (path string, play demo.Result, err error) {
	var events struct {
		Play demo.Result `json:"play"`
	}
	if err := json.Unmarshal(captures.AttackEvents, &events); err != nil {
		return "", play, fmt.Errorf("read the recorded play: %w", err)
	}
	path = filepath.Join(dir, "attack.pcap.zst")
	if err := os.WriteFile(path, captures.Attack, 0o600); err != nil {
		return "", play, err
	}
	return path, events.Play, os.WriteFile(replay.SidePath(path), captures.AttackTruth, 0o600)
}

// stepsOf tells a result as the steps that made it.
func stepsOf(r demo.Result) []demo.Step {
	steps := []demo.Step{
		{At: r.Start, Kind: demo.Began, Text: fmt.Sprintf("%s, %d descriptors", r.Node, r.FDLimit)},
		{At: r.AttackStart, Kind: demo.AttackBegan, Text: "getTransactionsToApprove with the reference of 2018"},
	}
	if f := r.FirstFailure; f != nil {
		steps = append(steps, demo.Step{At: f.End, Kind: demo.FirstFailure, Text: fmt.Sprintf("%s %s", f.Command, f.Outcome)})
	}
	return append(steps,
		demo.Step{At: r.Death, Kind: demo.NodeDied, Text: r.DeathReason},
		demo.Step{At: r.End, Kind: demo.Ended, Text: fmt.Sprintf("%d honest calls answered, %d failed; %d calls of the attack", r.Answered, r.Failed, r.AttackCalls)})
}

// cast tells the stage the recorded steps of a play when their time has come.
type cast struct {
	*stage
	steps []demo.Step
}

func (c *cast) Event(ev *httpreassembly.Event, _ *rules.Verdict) { c.until(ev.At) }

func (c *cast) Finding(f *detect.Finding) {
	c.until(f.At)
	c.stage.Finding(f)
}

func (c *cast) until(at capture.Time) {
	for len(c.steps) > 0 && capture.At(c.steps[0].At) <= at {
		c.step(c.steps[0])
		c.steps = c.steps[1:]
	}
}
