package main

import (
	"testing"

	"wellcar.dev/internal/page"
)

func TestCPUsOfPages(t *testing.T) {
	if m, err := (pageTester{opt: &testOptions{machines: 2}}).machine(page.Machine{CPUs: 3}); err != nil || m.CPUs != 3 {
		t.Errorf("a page that wants 3 CPUs: %d, %v", m.CPUs, err)
	}
}
