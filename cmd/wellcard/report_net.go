//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/report"
)

// reportURL is the kernel word with the address that reports are sent to.
const reportURL = "wellcar.report.url"

// How often and how long a report is sent.
const (
	sendTries = 3
	sendLimit = 10 * time.Second
	sendPause = 2 * time.Second
)

// send posts the report of this boot, and that of the one before if it failed.
func (r *reporting) send(ctx context.Context) error {
	address := r.url
	if address == "" {
		line, err := os.ReadFile("/proc/cmdline")
		if err != nil {
			return err
		}
		if address, _ = cmdline.Parse(string(line)).First(reportURL); address == "" {
			return fmt.Errorf("sending the report: the kernel command line has no %s=", reportURL)
		}
	}
	var errs []error
	for _, told := range r.toSend() {
		errs = append(errs, postReport(ctx, address, told))
	}
	return errors.Join(errs...)
}

// toSend are the reports there are, the oldest first.
func (r *reporting) toSend() []report.Report {
	var out []report.Report
	if data, err := os.ReadFile(r.last); err == nil {
		var s report.Stored
		if json.Unmarshal(data, &s) == nil {
			out = append(out, s.Report())
		}
	}
	if data, err := os.ReadFile(r.record); err == nil {
		if rec, err := provision.DecodeRecord(data); err == nil {
			boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // an id that cannot be read stays empty
			out = append(out, rec.Report(strings.TrimSpace(string(boot))))
		}
	}
	return out
}

// postReport sends one report. A server that answers with a status of 4xx will not
// change its mind.
func postReport(ctx context.Context, address string, told report.Report) error {
	var err error
	for try := range sendTries {
		if try > 0 {
			pause := time.NewTimer(sendPause)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			}
		}
		var again bool
		if again, err = postOnce(ctx, address, told); err == nil || !again {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("sending the report: %w", err)
	}
	return nil
}

func postOnce(ctx context.Context, address string, told report.Report) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(told.JSON()))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "wellcar")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return true, err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 == 2 {
		return false, nil
	}
	return answer.StatusCode >= 500, fmt.Errorf("%s answered %s", req.URL.Redacted(), answer.Status)
}

// serve shows the report of a failed boot to those who have the token, until
// the machine reboots. Its first lines are the addresses.
func (r *reporting) serve(ctx context.Context) error {
	data, err := os.ReadFile(r.last)
	if err != nil {
		return err
	}
	var s report.Stored
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("reading the report to serve: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.listen)
	if err != nil {
		return err
	}
	addresses, err := pageAddresses(l.Addr().(*net.TCPAddr).Port, r.token)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		fmt.Fprintln(r.out, a)
	}
	server := &http.Server{Handler: pageHandler(s.Report(), r.token), ReadTimeout: sendLimit, WriteTimeout: sendLimit, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// pageAddresses are the URLs under which this machine serves its page.
func pageAddresses(port int, token string) ([]string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("looking for this machine's addresses: %w", err)
	}
	var out []string
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			out = append(out, "http://"+net.JoinHostPort(ip.IP.String(), fmt.Sprint(port))+"/"+token)
		}
	}
	return out, nil
}

// pageHandler answers GET /TOKEN with the page and GET /TOKEN.json with the
// report, and knows nothing else.
func pageHandler(told report.Report, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name, asJSON := strings.CutSuffix(strings.TrimPrefix(req.URL.Path, "/"), ".json")
		if len(token) < 8 || subtle.ConstantTimeCompare([]byte(name), []byte(token)) != 1 || req.Method != http.MethodGet {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if asJSON {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(told.JSON())
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, strings.Join(report.Words(told), "\n")+"\n")
	})
}

// nothingToSend tells whether there is no report at all.
func (r *reporting) nothingToSend() bool {
	for _, name := range []string{r.last, r.record} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
