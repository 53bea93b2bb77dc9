//go:build linux

package reboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWindows(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", s, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		start, length, now string // 2026-01-01 is a Thursday
		want               time.Duration
	}{
		{"", "", "2026-01-01 12:00:00", 0},
		{"14:00", "1h", "2026-01-01 12:00:00", 2 * time.Hour},
		{"14:00", "1h", "2026-01-01 14:00:00", 0},
		{"14:00", "1h", "2026-01-01 15:00:00", 0},
		{"14:00", "1h", "2026-01-01 15:00:01", 22*time.Hour + 59*time.Minute + 59*time.Second},
		{"23:30", "1h", "2026-01-02 00:15:00", 0},
		{"Thu 23:00", "1h30m", "2026-01-01 22:00:00", time.Hour},
		{"thu 23:00", "1h30m", "2026-01-02 00:30:00", 0},
		{"Thu 23:00", "1h30m", "2026-01-02 00:30:01", 7*24*time.Hour - 90*time.Minute - time.Second},
		{"Fri 01:00", "2h", "2026-01-01 00:00:00", 25 * time.Hour},
		{"Wed 20:00", "30h", "2026-01-01 12:00:00", 0},
		{"Thu 23:00, Fri 04:00", "1h", "2026-01-02 03:00:00", time.Hour},
		{"Thu 23:00, Fri 04:00", "1h,2h", "2026-01-02 05:30:00", 0},
	} {
		windows, err := ParseWindows(c.start, c.length)
		if err != nil {
			t.Fatal(err)
		}
		if got := Wait(windows, at(c.now)); got != c.want {
			t.Errorf("%s for %s at %s: %s, want %s", c.start, c.length, c.now, got, c.want)
		}
	}
	for _, c := range [][2]string{{"14:00", ""}, {"", "1h"}, {"25:00", "1h"}, {"Day 14:00", "1h"}, {"14:00", "24h"}, {"Thu 14:00", "168h"}, {"14:00", "-1h"}, {"14:00,15:00", "1h,1h,1h"}, {"14", "1h"}} {
		if w, err := ParseWindows(c[0], c[1]); err == nil {
			t.Errorf("%q: %+v", c, w)
		}
	}
}

func TestSemaphore(t *testing.T) {
	s, err := ParseSemaphore([]byte(`{"semaphore":1,"max":1,"holders":null}`))
	if err != nil || string(s.Marshal()) != `{"semaphore":1,"max":1,"holders":null}` {
		t.Fatalf("%+v, %v", s, err)
	}
	one, err := s.Lock("b")
	if err != nil || string(one.Marshal()) != `{"semaphore":0,"max":1,"holders":["b"]}` {
		t.Errorf("%s, %v", one.Marshal(), err)
	}
	if _, err := one.Lock("a"); !errors.Is(err, ErrTaken) {
		t.Error(err)
	}
	if _, err := one.Lock("b"); !errors.Is(err, ErrHeld) {
		t.Error(err)
	}
	two, err := one.SetMax(2).Lock("a")
	if err != nil || two.Text() != "Available: 0\nMax: 2\n\nMACHINE ID\na\nb\n" {
		t.Errorf("%q, %v", two.Text(), err)
	}
	if less := two.SetMax(1); less.Free != -1 {
		t.Errorf("%+v", less)
	}
	back, err := two.Unlock("b")
	if err != nil || back.Free != 1 || len(two.Holders) != 2 {
		t.Errorf("%+v, %+v, %v", back, two, err)
	}
	if _, err := back.Unlock("b"); !errors.Is(err, ErrNotHeld) {
		t.Error(err)
	}
	if Key("") != "coreos.com/updateengine/rebootlock/semaphore" || Key("a b/c") != "coreos.com/updateengine/rebootlock/groups/a+b%2Fc/semaphore" {
		t.Error(Key("a b/c"))
	}
}

// store is as unkind as etcd: it compares revisions, wants the token, and
// lets others write in between.
type store struct {
	mu       sync.Mutex
	value    []byte
	revision int
	rivals   int // writes that come in between
	password string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/v3/auth/authenticate" {
		fmt.Fprint(w, `{"token":"t1"}`)
		return
	}
	if s.password != "" && r.Header.Get("Authorization") != "t1" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"etcdserver: user name is empty","message":"user name is empty","code":16}`)
		return
	}
	switch r.URL.Path {
	case "/v3/kv/range":
		out := map[string]any{"count": "1"}
		if s.revision > 0 {
			out["kvs"] = []keyValue{{Value: s.value, ModRevision: fmt.Sprint(s.revision)}}
		}
		json.NewEncoder(w).Encode(out)
		if s.rivals > 0 {
			s.rivals--
			s.revision++
			if s.value == nil {
				s.value = NewSemaphore().Marshal()
			}
		}
	case "/v3/kv/txn":
		var req txnRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if req.Compare[0].ModRevision != fmt.Sprint(s.revision) {
			fmt.Fprint(w, `{"header":{}}`)
			return
		}
		s.revision++
		s.value = req.Success[0].Put.Value
		fmt.Fprint(w, `{"succeeded":true}`)
	default:
		http.NotFound(w, r)
	}
}

func TestEtcd(t *testing.T) {
	for name, s := range map[string]*store{"empty": {}, "rivals": {rivals: 3}, "with a password": {password: "p"}} {
		server := httptest.NewServer(s)
		e, err := NewEtcd([]string{"http://127.0.0.1:1", server.URL}, "", "", "")
		if err != nil {
			t.Fatal(err)
		}
		e.Key, e.User, e.Password = Key(""), "root", "p"
		a, b := EtcdSemaphore{e, "a"}, EtcdSemaphore{e, "b"}
		for _, step := range []struct {
			do   func(context.Context) error
			want error
		}{{a.Lock, nil}, {a.Lock, nil}, {b.Lock, ErrTaken}, {b.Unlock, nil}, {a.Unlock, nil}, {b.Lock, nil}} {
			if err := step.do(t.Context()); !errors.Is(err, step.want) {
				t.Errorf("%s: %v, want %v", name, err, step.want)
			}
		}
		if got, _, err := e.Get(t.Context()); err != nil || cmp.Diff(Semaphore{0, 1, []string{"b"}}, got) != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		server.Close()
		if _, _, err := e.Get(t.Context()); err == nil || !strings.Contains(err.Error(), "reaching etcd") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewEtcd(nil, "", "cert", ""); err == nil {
		t.Error("a certificate without its key was accepted")
	}
}

func TestFleetLock(t *testing.T) {
	var got []string
	busy := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		fmt.Fprint(body, r.Method, " ", r.URL.Path, " ", r.Header.Get("fleet-lock-protocol"), " ")
		var v any
		json.NewDecoder(r.Body).Decode(&v)
		fmt.Fprint(body, v)
		got = append(got, body.String())
		if busy {
			w.WriteHeader(http.StatusLocked)
			fmt.Fprint(w, `{"kind":"lock_held","value":"another has it"}`)
		}
	}))
	defer server.Close()
	// as systemd-id128 --app-specific=de35106b6ec24688b63afddaa156679b machine-id prints it
	const machine, id = "0123456789abcdef0123456789abcdef", "583627a932274834a8ebd99f4ed41c0d"
	f := FleetLock{URL: server.URL + "/", ID: machine, Client: server.Client()}
	if err := f.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "another has it") {
		t.Error(err)
	}
	busy = false
	if err := errors.Join(f.Lock(t.Context()), f.Unlock(t.Context())); err != nil {
		t.Error(err)
	}
	want := []string{"POST /v1/pre-reboot true map[client_params:map[group:default id:" + id + "]]", "POST /v1/pre-reboot true map[client_params:map[group:default id:" + id + "]]",
		"POST /v1/steady-state true map[client_params:map[group:default id:" + id + "]]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	f.Group = "a b"
	if err := f.Lock(t.Context()); err == nil {
		t.Error("a group with a space was sent")
	}
	for _, bad := range []string{"", "m1", machine + "00"} {
		if err := (FleetLock{URL: server.URL, ID: bad, Client: server.Client()}).Lock(t.Context()); err == nil {
			t.Errorf("the id %q was taken for a machine's", bad)
		}
	}
}

// play runs a coordinator on a clock that jumps, and writes down what it does.
type play struct {
	now   time.Time
	log   []string
	locks int // refusals before the lock is given
	users bool
}

func (p *play) Lock(context.Context) error {
	if p.locks > 0 {
		p.locks--
		return ErrTaken
	}
	p.note("lock")
	return nil
}

func (p *play) Unlock(context.Context) error { p.note("unlock"); return nil }

func (p *play) note(s string) { p.log = append(p.log, p.now.Format("15:04:05 ")+s) }

func (p *play) coordinator(windows []Window, lock Lock) *Coordinator {
	return &Coordinator{Windows: windows, Lock: lock, Logf: func(string, ...any) {}, Now: func() time.Time { return p.now },
		NeedReboot: func(context.Context) error { p.note("needed"); return nil },
		Warn:       func(string) bool { return p.users },
		Reboot:     func(context.Context) error { p.note("reboot"); return nil },
		State:      func(s string) { p.note(s) },
		After: func(d time.Duration) <-chan time.Time {
			p.now = p.now.Add(d)
			c := make(chan time.Time, 1)
			c <- p.now
			return c
		}}
}

func TestCoordinator(t *testing.T) {
	for name, c := range map[string]struct {
		start, length string
		locks         int
		lock, users   bool
		want          string
	}{
		"at once":            {"", "", 0, false, false, "12:00:00 running; 12:00:00 needed; 12:00:00 reboot-planned; 12:00:00 rebooting; 12:00:00 reboot"},
		"with people":        {"", "", 0, false, true, "12:00:00 running; 12:00:00 needed; 12:00:00 reboot-planned; 12:00:00 rebooting; 12:05:00 reboot"},
		"window":             {"13:00", "1h", 0, false, false, "12:00:00 running; 12:00:00 needed; 12:00:00 reboot-planned; 13:00:00 rebooting; 13:00:00 reboot"},
		"lock":               {"", "", 2, true, false, "12:00:00 running; 12:00:00 unlock; 12:00:00 needed; 12:00:00 reboot-planned; 12:00:15 lock; 12:00:15 rebooting; 12:00:15 reboot"},
		"lock after windows": {"12:00", "1m", 6, true, false, "12:00:00 running; 12:00:00 unlock; 12:00:00 needed; 12:00:00 reboot-planned; 12:05:15 lock; 12:05:15 unlock; 12:00:00 lock; 12:00:00 rebooting; 12:00:00 reboot"},
	} {
		p := &play{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), locks: c.locks, users: c.users}
		windows, err := ParseWindows(c.start, c.length)
		if err != nil {
			t.Fatal(err)
		}
		var lock Lock
		if c.lock {
			lock = p
		}
		if err := p.coordinator(windows, lock).Run(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.want, strings.Join(p.log, "; ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := ParseStrategy("never"); err == nil {
		t.Error("a strategy that there is not was accepted")
	}
}
