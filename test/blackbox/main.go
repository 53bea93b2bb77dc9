//go:build linux

// Blackbox runs the test-suite of coreos/ignition against the applet
// ignition: each case prepares disks, runs the stages as separate processes
// and compares the disks with what they must be. The suite is not part of
// this repository; it is built from a checkout of its own.
//
//	go run ./test/blackbox -checkout DIR [-short] [-run REGEXP]
//
// It needs root, loop devices, a C compiler and the headers of libblkid. Cases
// that the kernel of this machine cannot run are skipped with the reason.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	checkout := flag.String("checkout", "", "`directory` with a checkout of coreos/ignition")
	short := flag.Bool("short", false, "one version of the spec for each case")
	cases := flag.String("run", "", "only the cases whose name matches a `regexp`")
	log := flag.String("log", "", "`file` that gets all that the suite prints")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := run(ctx, *checkout, *short, *cases, *log)
	if err != nil {
		fmt.Fprintln(os.Stderr, "blackbox:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

func run(ctx context.Context, checkout string, short bool, cases, log string) (failed bool, err error) {
	if why := cannotRun(checkout); why != "" {
		fmt.Println("skipped:", why)
		fmt.Println("0 passed, 0 failed, 1 skipped")
		return false, nil
	}
	dir, err := os.MkdirTemp("", "blackbox-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, checkout, dir); err != nil {
		return false, err
	}
	args := []string{"-test.v", "-test.parallel", "4"}
	if short {
		args = append(args, "-test.short")
	}
	if cases != "" {
		args = append(args, "-test.run", "TestIgnitionBlackBox/"+cases)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "suite"), args...)
	cmd.Dir = filepath.Join(checkout, "tests")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	out, runErr := cmd.CombinedOutput()
	if log != "" {
		if err := os.WriteFile(log, out, 0o644); err != nil {
			return false, err
		}
	}
	n := judge(string(out))
	fmt.Printf("%d passed, %d failed, %d skipped\n", n.passed, n.failed, n.skipped)
	if exit := (*exec.ExitError)(nil); runErr != nil && !errors.As(runErr, &exit) {
		return false, runErr
	}
	return n.failed > 0 || n.passed == 0, nil
}

func cannotRun(checkout string) string {
	if checkout == "" {
		return "no checkout of coreos/ignition is given"
	}
	if _, err := os.Stat(filepath.Join(checkout, "tests", "blackbox_test.go")); err != nil {
		return checkout + " is no checkout of coreos/ignition"
	}
	if os.Geteuid() != 0 {
		return "it needs root"
	}
	for _, tool := range []string{"gcc", "sgdisk", "partx", "losetup", "mke2fs"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "there is no " + tool
		}
	}
	return ""
}

type counts struct{ passed, failed, skipped int }

// judge reads the output of the suite. A failure whose reason is the machine
// counts as skipped.
func judge(out string) counts {
	var n counts
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, len(out)+1)
	for lines.Scan() {
		verdict, name, found := strings.Cut(strings.TrimPrefix(lines.Text(), "    --- "), ": ")
		if !found || !strings.HasPrefix(lines.Text(), "    --- ") {
			continue
		}
		name, _, _ = strings.Cut(name, " ")
		_, short, _ := strings.Cut(name, "/")
		switch why := excuse(short); {
		case verdict == "PASS":
			n.passed++
		case verdict == "FAIL" && why == "":
			fmt.Println("failed:", name)
			n.failed++
		case verdict == "FAIL":
			fmt.Printf("skipped: %s: %s\n", name, why)
			n.skipped++
		}
	}
	return n
}

// excuse is why a case cannot pass on this machine; empty if it must.
func excuse(name string) string {
	switch {
	case strings.HasPrefix(name, "luks.") && !kernelHas("/proc/misc", "device-mapper"):
		return "the kernel has no device-mapper"
	case strings.Contains(name, "vfat") && !kernelHas("/proc/filesystems", "vfat"):
		return "the kernel has no vfat"
	}
	return ""
}

func kernelHas(list, what string) bool {
	text, _ := os.ReadFile(list) // without the list there is nothing
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[len(fields)-1] == what {
			return true
		}
	}
	return false
}
