//go:build !amd64 || !linux

// Package vmguest is for VMware on amd64 only.
package vmguest

import "errors"

// Available tells that this is no guest of VMware.
func Available() bool { return false }

var errElsewhere = errors.New("it is no guest of VMware")

// Get fails.
func Get(string) (string, error) { return "", errElsewhere }

// Set fails.
func Set(string, string) error { return errElsewhere }
