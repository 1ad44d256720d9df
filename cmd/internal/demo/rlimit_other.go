//go:build !linux && !darwin

package demo

import "errors"

// limitDescriptors cannot work here: the demo needs a limit it can exhaust.
func limitDescriptors(uint64) error {
	return errors.New("the demo node needs a system with descriptor limits (setrlimit)")
}
