package nebraska

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// postgres is a database server that only a socket in its folder leads to.
type postgres struct {
	dir, programs string
	account       *syscall.Credential
}

// newPostgres starts one that ends with the test.
func newPostgres(t *testing.T) *postgres {
	t.Helper()
	p := &postgres{programs: programs(t)}
	dir, err := os.MkdirTemp("", "postgres-") // not below t.TempDir, which the account cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.dir = dir
	if os.Getuid() == 0 {
		p.account = unprivileged(t)
		if err := os.Chown(dir, int(p.account.Uid), int(p.account.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p.run(t, "initdb", "--pgdata", p.data(), "--username", "postgres", "--auth", "trust", "--no-sync")
	p.run(t, "pg_ctl", "start", "--wait", "--pgdata", p.data(), "--log", filepath.Join(dir, "log"),
		"--options", "-c listen_addresses='' -c fsync=off -k "+dir)
	t.Cleanup(func() { p.run(t, "pg_ctl", "stop", "--wait", "--mode", "immediate", "--pgdata", p.data()) })
	return p
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

// url is what Nebraska is told.
func (p *postgres) url() string {
	return "postgres://postgres@/postgres?sslmode=disable&host=" + p.dir
}

// query answers with a line for each row.
func (p *postgres) query(t *testing.T, sql string) []string {
	t.Helper()
	out := p.run(t, "psql", "--no-psqlrc", "--host", p.dir, "--username", "postgres", "--tuples-only", "--no-align", "--field-separator", " ", "--command", sql)
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
}

// run runs a program of PostgreSQL, which refuses to run as root.
func (p *postgres) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(p.programs, name), args...)
	cmd.Dir, cmd.Stderr = p.dir, new(bytes.Buffer)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	var out bytes.Buffer
	if cmd.Stdout = &out; name == "pg_ctl" {
		cmd.Stdout, cmd.Stderr = nil, nil // the server keeps them open
	}
	if err := cmd.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		t.Fatalf("%s: %v\n%v\n%s", name, err, cmd.Stderr, log)
	}
	return out.String()
}

// programs is the folder of the newest PostgreSQL.
func programs(t *testing.T) string {
	t.Helper()
	if name, err := exec.LookPath("initdb"); err == nil {
		if name, err = filepath.EvalSymlinks(name); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(name)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("PostgreSQL is not installed: there is no initdb in PATH or in /usr/lib/postgresql/*/bin")
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) }))
}

func release(name string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(name))))
	return n
}

func unprivileged(t *testing.T) *syscall.Credential {
	t.Helper()
	who, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
