package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

// scripted answers connections one after the other, in the bubble of a test
// with a clock of its own. Each script gets the request; what it returns is
// sent as it is, and the connection ends. "hang" never answers.
type scripted struct {
	t       *testing.T
	answers []string
	mu      sync.Mutex
	asked   []time.Duration // since the test began
	start   time.Time
}

func newScripted(t *testing.T, answers ...string) *scripted {
	return &scripted{t: t, answers: answers, start: time.Now()}
}

// dial is Options.Dial.
func (s *scripted) dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.asked)
	s.asked = append(s.asked, time.Since(s.start))
	answer := s.answers[min(n, len(s.answers)-1)]
	if answer == "refuse" {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go s.answer(theirs, answer)
	return ours, nil
}

func (s *scripted) answer(conn net.Conn, text string) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	if text == "hang" {
		io.Copy(io.Discard, conn)
		return
	}
	io.WriteString(conn, text)
}

func answer(status int, length int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, http.StatusText(status), length, body)
}

func ms(n ...int) (out []time.Duration) {
	for _, v := range n {
		out = append(out, time.Duration(v)*time.Millisecond)
	}
	return out
}

func TestRetries(t *testing.T) {
	bad, good := answer(503, 0, ""), answer(200, 4, "done")
	for name, tc := range map[string]struct {
		answers []string
		total   int // seconds
		asked   []time.Duration
		want    string
		err     string
	}{
		"at once":         {answers: []string{good}, asked: ms(0), want: "done"},
		"doubling":        {answers: []string{bad, "refuse", bad, bad, bad, bad, bad, good}, asked: ms(0, 200, 600, 1400, 3000, 6200, 11200, 16200), want: "done"},
		"no answer":       {answers: []string{"hang", good}, asked: ms(0, 10200), want: "done"},
		"hung up":         {answers: []string{"", good}, asked: ms(0, 200), want: "done"},
		"no HTTP":         {answers: []string{"SSH-2.0\r\n", good}, asked: ms(0, 200), want: "done"},
		"client error":    {answers: []string{answer(400, 0, "")}, asked: ms(0), err: "fetching http://h/x: the server answers 400 Bad Request"},
		"total":           {answers: []string{bad}, total: 1, asked: ms(0, 200, 600), err: "fetching http://h/x: gave up after 1s, at last because: the server answers 503 Service Unavailable"},
		"total in answer": {answers: []string{"hang"}, total: 1, asked: ms(0), err: "fetching http://h/x: gave up after 1s"},
		"cut":             {answers: []string{answer(200, 4, "do"), good}, asked: ms(0, 200), want: "done"},
		"cut, longer":     {answers: []string{answer(200, 4, "do"), answer(200, 6, "done"), answer(200, 4, "done")}, asked: ms(0, 200, 400), want: "done"},
		"lying length": {answers: []string{answer(200, 9, "done")}, asked: ms(0, 200, 600, 1400, 3000),
			err: "fetching http://h/x: the connection broke after 4 bytes: unexpected EOF"},
		"changed": {answers: []string{answer(200, 4, "do"), answer(200, 4, "else")}, asked: ms(0, 200), err: "the server gave other content the second time"},
		"shrunk":  {answers: []string{answer(200, 4, "do"), answer(200, 1, "d")}, asked: ms(0, 200), err: "the server gave other content the second time"},
		"gone":    {answers: []string{answer(200, 4, "do"), answer(404, 0, "")}, asked: ms(0, 200), err: "the server answers 404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(t, tc.answers...)
				c := configure(t, New(Options{Dial: s.dial}), provision.FetchSettings{TotalSeconds: &tc.total})
				defer c.Close()
				got, err := get(c, provision.Request{URL: "http://h/x"})
				if tc.err == "" && (err != nil || got != tc.want) || tc.err != "" && (err == nil || !strings.HasSuffix(err.Error(), tc.err)) {
					t.Errorf("got %q, %v", got, err)
				}
				if diff := cmp.Diff(tc.asked, s.asked); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestNoHeaderTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t, "hang")
		none, total := 0, 60
		c := configure(t, New(Options{Dial: s.dial}), provision.FetchSettings{ResponseHeadersSeconds: &none, TotalSeconds: &total})
		defer c.Close()
		refused(t, c, provision.Request{URL: "http://h/"}, "gave up after 1m0s")
		if diff := cmp.Diff(ms(0), s.asked); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRetryCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t, answer(404, 0, ""), answer(429, 0, ""), answer(200, 1, "x"))
		c := New(Options{Dial: s.dial})
		defer c.Close()
		if err := c.Do(context.Background(), Call{URL: "http://h/", Retry: []int{404, 429}}, io.Discard); err != nil {
			t.Error(err)
		}
	})
}

func TestEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t, "hang")
		c := New(Options{Dial: s.dial})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := c.Fetch(ctx, provision.Request{URL: "http://h/"}, io.Discard)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
