package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"stallwatch/testdata/captures"
)

// Unpack writes the recorded play that is part of the program into dir, with
// the samples of the node's process beside it, for machines on which capturing
// is not allowed. It returns the capture's path,
// the steps of the play in order of time, and the node's port.
func Unpack(dir string) (path string, steps []Step, port uint16, err error) {
	path = filepath.Join(dir, "iri2018.pcap.zst")
	if err := os.WriteFile(path, captures.Attack, 0o600); err != nil {
		return "", nil, 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "iri2018.host.jsonl"), captures.AttackTruth, 0o600); err != nil {
		return "", nil, 0, err
	}
	var events struct {
		Play Result `json:"play"`
	}
	if err := json.Unmarshal(captures.AttackEvents, &events); err != nil {
		return "", nil, 0, fmt.Errorf("the embedded play: %w", err)
	}
	return path, events.Play.steps(), events.Play.Node.Port(), nil
}

// steps tells a play from its result, as Tell was told when it was played.
func (r *Result) steps() []Step {
	steps := []Step{{r.Start, Began, r.began()}}
	if !r.AttackStart.IsZero() {
		steps = append(steps, Step{r.AttackStart, AttackBegan, attackBegan})
	}
	if f := r.FirstFailure; f != nil {
		steps = append(steps, Step{f.End, FirstFailure, f.failed()})
	}
	if !r.Death.IsZero() {
		steps = append(steps, Step{r.Death, NodeDied, r.DeathReason})
	}
	steps = append(steps, Step{r.End, Ended, r.ended()})
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Or(a.At.Compare(b.At), int(a.Kind)-int(b.Kind)) })
	return steps
}

// attackBegan is the text of the step AttackBegan.
const attackBegan = "calls of getTransactionsToApprove with the reference of 2018"

// The texts of the other steps.
func (r *Result) began() string {
	return fmt.Sprintf("node %s, pid %d, %d descriptors", r.Node, r.PID, r.FDLimit)
}

func (c *Call) failed() string { return c.Command + " " + c.Outcome.String() }

func (r *Result) ended() string {
	return fmt.Sprintf("%d honest calls answered, %d failed; %d calls of the attack", r.Answered, r.Failed, r.AttackCalls)
}
