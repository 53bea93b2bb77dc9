//go:build linux

// Wellcard is the machine's own program: one binary with several applets,
// chosen by the name it is called with or by its first word.
//
//	wellcard provision --root /sysroot --platform qemu
//	ignition --platform qemu --stage files --root /sysroot
//	wellcard report
//	wellcard help
//
// An applet exits with 0 when done, 1 when it failed (its last line on stderr
// is one sentence that says why) and 2 when called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// applet is one of the programs within.
type applet struct {
	name  string
	usage string // one line
	run   func(ctx context.Context, args []string, out, errOut io.Writer) error
}

func applets() []applet {
	return []applet{
		{"provision", "set the machine up from its config", runProvision},
		{"ignition", "carry out one stage, with the command line of Ignition", runIgnition},
		{"ignition-apply", "apply a config's files and units in a container", runIgnitionApply},
		{"ignition-rmcfg", "delete the config from where the platform keeps it", runIgnitionRmcfg},
		{"ignition-kargs-helper", "change the kernel arguments, and reboot if that is needed", runKargsHelper},
		{"coreos-metadata", "ask the cloud for attributes, host name and SSH keys", runMetadata},
		{"afterburn", "the same as coreos-metadata", runMetadata},
		{"coreos-cloudinit", "carry out a cloud-config", runCloudinit},
		{"update-ssh-keys", "keep the SSH keys of a user in named sets", runSSHKeys},
		{"report", "say what became of provisioning", runReport},
		{"network", "bring the network up before the system starts", runNetwork},
		{"status", "explain what runs and what became of updates", runStatus},
		{"update-engine", "keep the system up to date (daemon)", runUpdateEngine},
		{"cgpt", "show and change partitions and slots", runCgpt},
		{"flatcar-reset", "make the next boot start over", runFlatcarReset},
		{"flatcar-update", "install a version that is asked for by name", runFlatcarUpdate},
		{"locksmithctl", "show and change the reboot lock", runLocksmithctl},
		{"locksmithd", "reboot when an update waits for it (daemon)", runLocksmithd},
		{"postinst", "move a machine with Flatcar or CoreOS to this system", runPostinst},
		{"rootdev", "print the device of a file system", runRootdev},
		{"update_engine_client", "ask and command update-engine", runUpdateEngineClient},
		{"apply", "change the machine to another config", runApply},
		{"drift", "list what was changed by hand", runDrift},
	}
}

// errUsage says that the command line is wrong and that this has been told.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run finds the applet and turns its error into an exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	name, rest := filepath.Base(args[0]), args[1:]
	if find(name) == nil {
		if len(rest) == 0 {
			help(errOut)
			return 2
		}
		name, rest = rest[0], rest[1:]
	}
	if name == "help" || name == "--help" || name == "-h" {
		help(out)
		return 0
	}
	a := find(name)
	if a == nil {
		fmt.Fprintf(errOut, "wellcard: there is no applet %q; wellcard help lists them\n", name)
		return 2
	}
	var code exitCode
	switch err := a.run(ctx, rest, out, errOut); {
	case errors.As(err, &code):
		return int(code)
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		fmt.Fprintf(errOut, "%s: %v\n", name, err)
		return 1
	}
}

func find(name string) *applet {
	for _, a := range applets() {
		if a.name == name {
			return &a
		}
	}
	return nil
}

func help(w io.Writer) {
	fmt.Fprint(w, "Usage: wellcard APPLET [FLAG...]\n\nApplets:\n")
	for _, a := range applets() {
		fmt.Fprintf(w, "  %-16s %s\n", a.name, a.usage)
	}
	fmt.Fprint(w, "\nwellcard APPLET --help lists the flags of one.\n")
}

// parse reads flags and refuses further words.
func parse(f *flag.FlagSet, args []string) error {
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err == nil && f.NArg() > 0 {
		fmt.Fprintf(f.Output(), "%s: unexpected word %q\n", f.Name(), f.Arg(0))
		err = errUsage
	}
	if err != nil {
		return errUsage
	}
	return nil
}
