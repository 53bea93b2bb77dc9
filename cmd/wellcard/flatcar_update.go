//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"wellcar.dev/internal/release"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/durable"
	"wellcar.dev/internal/update"
)

const flatcarUpdateUsage = `Usage: flatcar-update --to-version VERSION [--to-payload FILE]
       flatcar-update --offline FILE

Installs a version that is asked for by name: also one that is older, and one
that was given up. It starts with the next boot.

      --offline FILE          the package, or release folder, of a newer version
                              on this machine, whatever its number
  -V, --to-version VERSION    the version
  -P, --to-payload FILE       its package, or its release folder, on this machine;
                              without it, RELEASE_SERVER of update.conf has
                              BOARD/VERSION/ with the release
  -A, --disable-afterwards    set SERVER=disabled, so that no later update follows
  -E, -O, -L, -M, -D, -F      accepted for scripts: extensions, ports and keys
                              need no flags here
`

// updateOptions are the flags of flatcar-update.
type updateOptions struct {
	version, payload string
	disable, offline bool // offline: the version may be left open
}

func parseFlatcarUpdate(args []string, errOut io.Writer) (o updateOptions, err error) {
	f := flag.NewFlagSet("flatcar-update", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.Usage = func() { fmt.Fprint(errOut, flatcarUpdateUsage) }
	for _, name := range []string{"V", "to-version"} {
		f.StringVar(&o.version, name, "", "")
	}
	for _, name := range []string{"P", "to-payload", "offline"} {
		f.StringVar(&o.payload, name, "", "")
	}
	for _, name := range []string{"A", "disable-afterwards"} {
		f.BoolVar(&o.disable, name, false, "")
	}
	for _, name := range []string{"E", "extension", "O", "oem-payloads", "L", "listen-port-1", "M", "listen-port-2"} {
		f.Func(name, "", func(string) error { return nil })
	}
	for _, name := range []string{"D", "force-dev-key", "F", "force-flatcar-key"} {
		f.Bool(name, false, "")
	}
	if err := parse(f, args); err != nil {
		return o, err
	}
	f.Visit(func(f *flag.Flag) { o.offline = o.offline || f.Name == "offline" })
	if o.version == "" && !o.offline {
		fmt.Fprint(errOut, flatcarUpdateUsage)
		return o, errUsage
	}
	return o, nil
}

// runFlatcarUpdate installs one version on a person's word.
func runFlatcarUpdate(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parseFlatcarUpdate(args, errOut)
	if err != nil {
		return err
	}
	settings, err := update.LoadSettings("/")
	if err != nil {
		return err
	}
	kept, err := update.LoadState("/")
	if err != nil {
		return err
	}
	if _, err := os.Stat("/" + update.StagedFile); err == nil {
		return fmt.Errorf("%s is installed and waits for a reboot; reboot, or take it back with update_engine_client -reset_status", kept.Staged.Version)
	}
	prefs := update.Prefs{Dir: "/" + update.PrefsDir}
	v := update.Verifier{Root: "/", Board: settings.Get("FLATCAR_RELEASE_BOARD"), Prefs: prefs, Now: time.Now(), Exact: o.version}
	in := &update.Installer{Boot: machineBoot(), Prefs: prefs, Note: update.NoteStaged("/", settings.Get("FLATCAR_RELEASE_VERSION"), time.Now), Logf: func(format string, args ...any) { fmt.Fprintf(errOut, format+"\n", args...) }}
	rel, err := o.open(ctx, in, settings, v)
	if err != nil {
		return err
	}
	if o.version == "" {
		o.version = rel.Manifest.Version
		bad, err := update.LoadBad("/")
		if err != nil {
			return err
		}
		if err := offlineFault(settings.Get("FLATCAR_RELEASE_VERSION"), o.version, bad); err != nil {
			return err
		}
	}
	if rel.Manifest.Version != o.version {
		return fmt.Errorf("the release is %s, not %s", rel.Manifest.Version, o.version)
	}
	note, err := in.Install(ctx, rel)
	if err != nil {
		return err
	}
	if err := update.MarkStaged("/", rel.Manifest); err != nil {
		return err
	}
	fmt.Fprintf(out, "Installed %s %s; it starts with the next boot.\n", o.version, note)
	return o.afterwards(ctx)
}

// offlineFault is why a version that nobody named is not installed.
func offlineFault(running, version string, bad []slot.Bad) error {
	remedy := fmt.Sprintf("; to install it all the same, add --to-version %s", version)
	if release.CompareVersions(version, running) <= 0 {
		return fmt.Errorf("the release is %s, and %s runs%s", version, running, remedy)
	}
	for _, b := range bad {
		if b.Version == version {
			return fmt.Errorf("%s was given up: %s%s", version, b.Reason, remedy)
		}
	}
	return nil
}

// open finds the release on the machine or on the release server.
func (o updateOptions) open(ctx context.Context, in *update.Installer, s update.Settings, v update.Verifier) (update.Verified, error) {
	if o.payload != "" {
		return update.OpenLocal(o.payload, v)
	}
	base := strings.TrimSuffix(s.Get("RELEASE_SERVER"), "/")
	if base == "" {
		return update.Verified{}, errors.New("finding the release: update.conf has no RELEASE_SERVER; set it, or name a file with --to-payload")
	}
	in.Remote = update.NewRemote(update.NewClient(), s, in.Logf)
	return update.OpenRemote(ctx, in.Remote, fmt.Sprintf("%s/%s/%s/", base, v.Board, o.version), v)
}

// afterwards lets update-engine see what is installed.
func (o updateOptions) afterwards(ctx context.Context) error {
	if o.disable {
		if err := disableServer("/etc/flatcar/update.conf"); err != nil {
			return err
		}
	}
	_, err := command.Exec(ctx, command.Cmd{Path: "systemctl", Args: []string{"try-restart", "update-engine.service"}})
	return err
}

// disableServer sets SERVER=disabled in a file of settings.
func disableServer(name string) error {
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("disabling updates: %w", err)
	}
	var kept []string
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "SERVER=") {
			kept = append(kept, strings.TrimSuffix(line, "\n"))
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("disabling updates: %w", err)
	}
	return rewrite(name, []byte(strings.Join(append(kept, "SERVER=disabled"), "\n")+"\n"))
}

// rewrite replaces a file, of which mode and owner stay: it may hold passwords.
func rewrite(name string, data []byte) error {
	mode, uid, gid := fs.FileMode(0o644), -1, -1
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	f, err := durable.Create(name, mode)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := f.Chown(uid, gid); err != nil {
		return fmt.Errorf("keeping the owner of %s: %w", name, err)
	}
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return f.Commit()
}
