package main

import (
	"bytes"
	"testing"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/butane"
)

func TestPlanConfig(t *testing.T) {
	text := planConfig()
	if n := bytes.Count(text, []byte("\n")); n < planLines || n > planLines+10 {
		t.Errorf("%d lines", n)
	}
	if _, report := provision.Load("plan.bu", text, provision.LoadOptions{Butane: butane.Translate}); len(report) > 0 {
		t.Error(report)
	}
}
