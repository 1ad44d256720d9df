//go:build !linux

package main

import "errors"

func sendFile(string, string, int, int) error { return errors.ErrUnsupported }
