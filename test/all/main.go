// Command all runs the tests of the project: static checks, Go tests with the
// reference tools, the pages of docs/ in virtual machines, and the machine
// tests in test/vm. The modules below test/ and test/blackbox are left out: they
// need more than Go and a network, or much time. Its last line is "N passed, M
// failed, K skipped".
//
// It is what `make test` calls; bin/wellcar must have been built.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"wellcar.dev/internal/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	total := runAll(ctx)
	total.print(os.Stdout)
	if total.failed > 0 {
		os.Exit(1)
	}
}

// tally counts results; its String is the line that CI reads.
type tally struct {
	passed, failed, skipped int
	again                   []string // those of passed that failed once
}

// print writes the line that CI reads, below the names of what failed once.
func (t tally) print(w io.Writer) {
	if len(t.again) > 0 {
		fmt.Fprintf(w, "%d passed on the second try: %s\n", len(t.again), strings.Join(t.again, ", "))
	}
	fmt.Fprintln(w, t)
}

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

func (t *tally) add(o tally) {
	t.passed += o.passed
	t.failed += o.failed
	t.skipped += o.skipped
	t.again = append(t.again, o.again...)
}

// step is one part of the whole run.
type step struct {
	name string
	run  func(context.Context) (tally, error)
}

func runAll(ctx context.Context) tally {
	var total tally
	for _, s := range []step{
		{"formatting", checkFormat},
		{"vet", checkVet},
		{"vet for macOS", checkVetDarwin},
		{"go tests", plainTests},
		{"pages", pages},
		{"machines", machineTests},
	} {
		start := time.Now()
		fmt.Printf("== %s\n", s.name)
		t, err := s.run(ctx)
		if err != nil {
			fmt.Printf("%s: %v\n", s.name, err)
			t.failed = max(t.failed, 1)
		}
		fmt.Printf("== %s: %v in %s\n", s.name, t, time.Since(start).Round(time.Second))
		total.add(t)
		if ctx.Err() != nil {
			total.failed++
			return total
		}
	}
	return total
}

func checkFormat(ctx context.Context) (tally, error) {
	out, err := exec.CommandContext(ctx, "gofmt", "-l", "cmd", "internal", "test", "bench").Output()
	if err != nil {
		return tally{}, err
	}
	if files := strings.TrimSpace(string(out)); files != "" {
		return tally{failed: 1}, fmt.Errorf("not formatted by gofmt: %s", strings.ReplaceAll(files, "\n", ", "))
	}
	return tally{passed: 1}, nil
}

func checkVet(ctx context.Context) (tally, error) {
	return simple(ctx, nil, "go", "vet", "./...")
}

// The host command must build on macOS too.
func checkVetDarwin(ctx context.Context) (tally, error) {
	return simple(ctx, []string{"GOOS=darwin"}, "go", "vet", "./cmd/wellcar/...")
}

func simple(ctx context.Context, env []string, name string, args ...string) (tally, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return tally{failed: 1}, err
	}
	return tally{passed: 1}, nil
}

// toolsDir is where the locked reference tools lie, fetched if need be.
func toolsDir(ctx context.Context) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bin/wellcar", "tools")
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("preparing the reference tools: %w", err)
	}
	return strings.TrimSpace(out.String()), nil
}

// machinePackage has tests that boot the built image, and no others.
const machinePackage = "./test/vm"

// machineName is how tests in other packages that boot machines begin.
const machineName = "^TestVM"

// waitingTest mostly waits for a machine that restarts five minutes after a
// failure, so that it runs beside the two machines of the others.
const waitingTest = "^TestProvisionFailure$"

// together runs parts at the same time and adds what they count.
func together(parts ...func() (tally, error)) (tally, error) {
	counts, errs := make([]tally, len(parts)), make([]error, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() { counts[i], errs[i] = part() })
	}
	wg.Wait()
	var t tally
	for _, c := range counts {
		t.add(c)
	}
	return t, errors.Join(errs...)
}

func machineTests(ctx context.Context) (tally, error) {
	disk, err := filepath.Abs(filepath.Join("out", image.DiskFile))
	if err != nil {
		return tally{}, err
	}
	env := []string{"WELLCAR_VM=1", "WELLCAR_TEST_IMAGE=" + disk}
	return together(
		func() (tally, error) { return goTests(ctx, []string{"-run", waitingTest, machinePackage}, env...) },
		func() (tally, error) {
			t, err := goTests(ctx, []string{"-skip", waitingTest, "-parallel", "2", machinePackage}, env...)
			more, moreErr := goTests(ctx, []string{"-run", machineName, "./internal/qemu", "./cmd/wellcar"}, env...)
			t.add(more)
			return t, errors.Join(err, moreErr)
		})
}

func plainTests(ctx context.Context) (tally, error) {
	packages, err := plainPackages(ctx)
	if err != nil {
		return tally{}, err
	}
	return goTests(ctx, append([]string{"-skip", machineName}, packages...))
}

// pages runs docs/ in virtual machines. What fails there runs a second time.
func pages(ctx context.Context) (tally, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bin/wellcar", "test", "--again", "docs")
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &out), os.Stderr
	runErr := cmd.Run()
	t, err := countPages(out.String())
	return t, errors.Join(runErr, err)
}

// secondTry begins the line of wellcar test for a page that failed once.
const secondTry = "passed on the second try: "

// countPages reads what wellcar test printed: the last line has the count.
func countPages(text string) (t tally, err error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, secondTry); ok {
			t.again = append(t.again, name)
		}
	}
	last := lines[len(lines)-1]
	if _, err := fmt.Sscanf(last, "%d passed, %d failed, %d skipped", &t.passed, &t.failed, &t.skipped); err != nil {
		return t, fmt.Errorf("reading the count of the pages from %q: %w", last, err)
	}
	return t, nil
}
