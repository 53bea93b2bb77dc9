package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/image/publish"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/server"
)

// rollout is an update that a machine makes from an older build to the image,
// served by this program.
type rollout struct {
	dir    string // keys and release
	disk   string // of the older build
	from   string // its version
	to     string // version of the image
	trust  []byte // root key, PEM
	served net.Listener
}

// prepareRollout makes a release of a build, with a delta from an older one.
func prepareRollout(ctx context.Context, a *app, from, disk string) (u *rollout, err error) {
	u = &rollout{disk: filepath.Join(buildFolder([]string{from}, 0, ""), image.DiskFile)}
	if err := u.choose(filepath.Dir(disk)); err != nil {
		return nil, withCode(exitUsage, fmt.Errorf("--update-from: %w", err))
	}
	if u.dir, err = os.MkdirTemp("", "wellcar-update-"); err != nil {
		return nil, fmt.Errorf("making a folder for the release: %w", err)
	}
	if err = u.release(ctx, a, filepath.Dir(disk)); err == nil {
		err = u.serve(ctx)
	}
	if err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// choose refuses what no machine could boot or would install.
func (u *rollout) choose(build string) error {
	if err := checkImage(u.disk); err != nil {
		return err
	}
	old, err := image.ReadRecord(filepath.Dir(u.disk))
	if err != nil {
		return err
	}
	next, err := image.ReadRecord(build)
	if err != nil {
		return err
	}
	u.from, u.to = old.Version, next.Version
	if release.CompareVersions(u.to, u.from) > 0 {
		return nil
	}
	return fmt.Errorf("%s is version %s and the image is %s, which no machine takes for an update; wellcar build --version makes another", filepath.Dir(u.disk), u.from, u.to)
}

// release makes keys for this one run and the release folder.
func (u *rollout) release(ctx context.Context, a *app, build string) error {
	now := time.Now().UTC()
	keys := filepath.Join(u.dir, "keys")
	o := publish.KeyOptions{From: now.AddDate(0, 0, -1), To: now.AddDate(0, 0, 2), Random: rand.Reader}
	if _, _, err := publish.CreateKeys(keys, o); err != nil {
		return err
	}
	k, err := publish.LoadKeys(keys)
	if err != nil {
		return err
	}
	if u.trust, err = os.ReadFile(filepath.Join(keys, publish.RootPublicFile)); err != nil {
		return fmt.Errorf("reading the root key: %w", err)
	}
	_, err = publish.Make(ctx, publish.Input{
		Build: build, From: []string{filepath.Dir(u.disk)}, Out: u.releaseDir(), Keys: k, Channel: "stable", Minimum: "0.0.0",
		Date: now, Expires: o.To, Fast: true, Deltas: true, Progress: a.show.progress,
	})
	return err
}

func (u *rollout) releaseDir() string { return filepath.Join(u.dir, "release") }

// serve answers the machine's questions until close.
func (u *rollout) serve(ctx context.Context) (err error) {
	if u.served, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("serving the release: %w", err)
	}
	srv := &http.Server{Handler: server.Handler{Dir: u.releaseDir(), Logf: func(string, ...any) {}}, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(u.served) // ends with the listener
	return nil
}

func (u *rollout) close() {
	if u.served != nil {
		u.served.Close()
	}
	os.RemoveAll(u.dir)
}

// config makes a machine follow the server, and leaves the reboot to this
// program (Ignition spec 3.3.0).
func (u *rollout) config() ([]byte, error) {
	_, port, err := net.SplitHostPort(u.served.Addr().String())
	if err != nil {
		return nil, err
	}
	type contents struct {
		Source string `json:"source"`
	}
	type file struct {
		Path      string   `json:"path"`
		Overwrite bool     `json:"overwrite"`
		Mode      int      `json:"mode"`
		Contents  contents `json:"contents"`
	}
	plain := func(path, text string) file {
		return file{path, true, 0o644, contents{"data:;base64," + base64.StdEncoding.EncodeToString([]byte(text))}}
	}
	url := "http://" + net.JoinHostPort(qemu.HostAddress, port) + server.UpdatePath + "/"
	return json.Marshal(map[string]any{
		"ignition": map[string]string{"version": "3.3.0"},
		"storage": map[string]any{"files": []file{
			plain("/etc/flatcar/update.conf", "GROUP=stable\nSERVER="+url+"\nREBOOT_STRATEGY=off\n"),
			plain("/etc/wellcar/release-keys.pem", string(u.trust)),
		}},
	})
}
