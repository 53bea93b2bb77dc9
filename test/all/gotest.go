package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// goTests runs the Go tests of some packages against the reference tools and
// prints what failed and why something was skipped.
func goTests(ctx context.Context, packages []string, env ...string) (tally, error) {
	dir, err := toolsDir(ctx)
	if err != nil {
		return tally{}, err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-timeout", "40m"}, packages...)...)
	cmd.Env = append(os.Environ(), append(env, "WELLCAR_TOOLS="+dir, "WELLCAR_TOOLS_REQUIRED=1")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return tally{}, err
	}
	if err := cmd.Start(); err != nil {
		return tally{}, err
	}
	t, parseErr := count(out, os.Stdout)
	return t, errors.Join(parseErr, cmd.Wait())
}

// plainPackages are all but those of tests that boot machines, which have a
// step of their own.
func plainPackages(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("listing the packages: %w", err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(name string) bool {
		return strings.HasSuffix(name, machinePackage[1:])
	}), nil
}

// count reads events, counts top-level tests and prints the output of those
// that did not pass.
func count(in io.Reader, show io.Writer) (tally, error) {
	var t tally
	output := map[string]*strings.Builder{}
	dec := json.NewDecoder(in)
	for {
		var e event
		if err := dec.Decode(&e); err == io.EOF {
			return t, nil
		} else if err != nil {
			return t, fmt.Errorf("reading the events of go test: %w", err)
		}
		key := e.Package + " " + e.Test
		if e.Action == "output" {
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			output[key].WriteString(e.Output)
			continue
		}
		t.add(result(e, output[key], show))
	}
}

func result(e event, output *strings.Builder, show io.Writer) tally {
	top := e.Test != "" && !strings.Contains(e.Test, "/")
	switch {
	case e.Action == "fail":
		fmt.Fprintf(show, "FAIL %s %s\n", e.Package, e.Test)
		if output != nil {
			io.WriteString(show, output.String())
		}
		if top || e.Test == "" && output != nil && strings.Contains(output.String(), "build failed") {
			return tally{failed: 1}
		}
	case e.Action == "skip" && e.Test != "":
		fmt.Fprintf(show, "SKIP %s %s: %s\n", e.Package, e.Test, reason(output))
		if top {
			return tally{skipped: 1}
		}
	case e.Action == "pass" && top:
		return tally{passed: 1}
	}
	return tally{}
}

// reason is the sentence that a test gave to t.Skip.
func reason(output *strings.Builder) string {
	if output == nil {
		return ""
	}
	for _, line := range strings.Split(output.String(), "\n") {
		if _, text, ok := strings.Cut(line, ".go:"); ok {
			_, text, _ = strings.Cut(text, ": ")
			return text
		}
	}
	return ""
}
