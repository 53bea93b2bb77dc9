//go:build linux

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/report"
)

// sent collects what a server gets, and answers with statuses in order.
func sent(t *testing.T, statuses ...int) (string, *[]string) {
	var bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.Method+" "+string(body))
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL, &bodies
}

func TestSend(t *testing.T) {
	last := filepath.Join(t.TempDir(), "last.json")
	told := report.Report{Failed: true, Phase: "root", Sentence: "no root", Boot: "b1"}
	if err := os.WriteFile(last, told.JSON(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		statuses []int
		posts    int
		code     int
	}{{[]int{204}, 1, 0}, {[]int{503, 200}, 2, 0}, {[]int{403}, 1, 1}} {
		url, bodies := sent(t, c.statuses...)
		code, _, errOut := call("wellcard", "report", "--send", "--url", url, "--last", last, "--record", last+".none")
		if code != c.code || len(*bodies) != c.posts || (*bodies)[0] != "POST "+string(told.JSON()) {
			t.Errorf("%v: %d %s %q", c.statuses, code, errOut, *bodies)
		}
	}
}

func TestPageHandler(t *testing.T) {
	h := pageHandler(report.Report{Failed: true, Sentence: "no root <b>"}, "0123456789ab")
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/0123456789ab", 200, "no root <b>"},
		{"GET", "/0123456789ab.json", 200, `"sentence":"no root <b>"`},
		{"GET", "/", 404, ""}, {"GET", "/0123456789aX", 404, ""}, {"POST", "/0123456789ab", 404, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	pageHandler(report.Report{}, "").ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 404 {
		t.Error("a page without a token")
	}
}

// TestServe ends when its context does.
func TestServe(t *testing.T) {
	last := filepath.Join(t.TempDir(), "last.json")
	if err := os.WriteFile(last, report.Report{Failed: true}.JSON(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &reporting{last: last, listen: "127.0.0.1:0", token: "0123456789ab", out: &bytes.Buffer{}}
	if err := r.serve(ctx); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}
