//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/stage"
	"wellcar.dev/internal/report"
	"wellcar.dev/internal/sys/durable"
)

const (
	// storedRecord is the record of the last provisioning that succeeded.
	storedRecord = "/var/lib/wellcar/provision.json"
	// lastReport is the report of the boot before this one, if it failed.
	lastReport = "/run/wellcar/last-report.json"
	// appliedConfig is the config that the machine was made from.
	appliedConfig = "/var/lib/wellcar/applied.ign"
	// appliedPlaces are the places of its elements in the user's text.
	appliedPlaces = "/var/lib/wellcar/applied.places"
)

// reporting is one run of the applet.
type reporting struct {
	record, stored, last string
	asJSON, asPage       bool
	decode               string
	sending, serving     bool
	url, listen, token   string
	out                  io.Writer
}

func runReport(ctx context.Context, args []string, out, errOut io.Writer) error {
	r := &reporting{out: out}
	f := flag.NewFlagSet("report", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&r.record, "record", provision.RecordFile, "`file` that records what this boot did")
	f.StringVar(&r.stored, "stored", storedRecord, "`file` that records the last provisioning")
	f.StringVar(&r.last, "last", lastReport, "`file` with the report of the boot before, if it failed")
	f.BoolVar(&r.asJSON, "json", false, "print the record as it is")
	f.BoolVar(&r.asPage, "page", false, "print what a console shows, with the code")
	f.StringVar(&r.decode, "decode", "", "print what the `text` of a code says")
	f.BoolVar(&r.sending, "send", false, "send the reports of this boot and of a failed one before it")
	f.StringVar(&r.url, "url", "", "with --send: `address` to post to (default that of the kernel word "+reportURL+")")
	f.BoolVar(&r.serving, "serve", false, "serve the report of --last as a page until stopped")
	f.StringVar(&r.listen, "listen", ":80", "with --serve: `address` to listen on")
	f.StringVar(&r.token, "token", "", "with --serve: `secret` that is the page's name")
	if err := parse(f, args); err != nil {
		return err
	}
	switch {
	case r.decode != "":
		return r.printCode()
	case r.serving:
		return r.serve(ctx)
	case r.sending && r.nothingToSend():
		return nil
	case r.sending:
		return r.send(ctx)
	}
	return r.print()
}

func (r *reporting) printCode() error {
	told, err := report.DecodeText(r.decode)
	if err != nil {
		return err
	}
	return r.printReport(told)
}

// print tells of this boot, else of the failure before it, else of the last
// provisioning.
func (r *reporting) print() error {
	data, err := os.ReadFile(r.record)
	if err == nil {
		return r.printRecord(data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !r.asJSON && !r.asPage {
		fmt.Fprintln(r.out, "This boot provisioned nothing: it was not the machine's first.")
	}
	if data, err = os.ReadFile(r.last); err == nil {
		return r.printLast(data)
	}
	data, err = os.ReadFile(r.stored)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.printRecord(data)
}

func (r *reporting) printRecord(data []byte) error {
	if r.asJSON {
		_, err := r.out.Write(data)
		return err
	}
	rec, err := provision.DecodeRecord(data)
	if err != nil {
		return err
	}
	if r.asPage {
		return r.printReport(rec.Report(""))
	}
	_, err = io.WriteString(r.out, rec.Words())
	return err
}

func (r *reporting) printLast(data []byte) error {
	if r.asJSON {
		_, err := r.out.Write(data)
		return err
	}
	var s report.Stored
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("reading the report of the boot before: %w", err)
	}
	if !r.asPage {
		fmt.Fprintln(r.out, "The boot before this one failed:")
	}
	return r.printReport(s.Report())
}

// printReport prints a page, without its code unless asked for.
func (r *reporting) printReport(told report.Report) error {
	if r.asJSON {
		_, err := r.out.Write(told.JSON())
		return err
	}
	lines := report.Words(told)
	if r.asPage {
		lines = report.Page(told, report.Screen{Width: 80})
	}
	_, err := io.WriteString(r.out, strings.Join(lines, "\n")+"\n")
	return err
}

// leaveReport leaves beside the record what the rest of the boot tells.
func (p *provisioning) leaveReport() error {
	if err := p.saveTexts(); err != nil {
		return err
	}
	told := p.rec.Report("")
	err := os.WriteFile(filepath.Join(filepath.Dir(p.record), filepath.Base(report.File)), told.Encode(), 0o644)
	return errors.Join(err, p.keepErr)
}

// keepOnMachine stores the record and the config, which day two needs.
func (p *provisioning) keepOnMachine() error {
	if p.record == "" {
		return nil
	}
	data, err := p.keptRecord()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.root, filepath.Dir(storedRecord)), 0o755); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(p.root, storedRecord), data, 0o600); err != nil {
		return err
	}
	if p.full == nil || !p.full.Provided() {
		return nil
	}
	if data, err = json.Marshal(p.full.Ignition); err != nil {
		return err
	}
	places, err := json.Marshal(p.full.Places())
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(p.root, appliedPlaces), places, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(p.root, appliedConfig), data, 0o600)
}

// keptRecord is the record as of the files stage. The steps that are left
// unmount, and are not worth telling.
func (p *provisioning) keptRecord() ([]byte, error) {
	rec := p.rec
	pending := func(s provision.RecordedStep) bool { return s.Outcome == provision.Pending }
	rec.Steps = slices.DeleteFunc(slices.Clone(rec.Steps), pending)
	rec.End(nil, time.Since(p.start))
	return rec.Encode()
}

// reporter is what a provisioning remembers for its report.
type reporter struct {
	full    *provision.Config // the user's over the base, if it is known
	keepErr error             // why the record and the config are not on the machine
}

// listen hears of what a session reads.
func (p *provisioning) listen(s *stage.Session) {
	s.Read = p.rec.Text
	s.Config = func(_, full provision.Config) { p.full = &full }
}

// textsFile keeps the user's texts for the processes of later stages. They
// may hold secrets, which the record does not.
func (p *provisioning) textsFile() string { return filepath.Join(filepath.Dir(p.record), "texts.json") }

func (p *provisioning) saveTexts() error {
	if len(p.stages) == 0 || len(p.rec.Texts) == 0 {
		return nil
	}
	data, err := json.Marshal(p.rec.Texts)
	if err != nil {
		return err
	}
	return durable.WriteFile(p.textsFile(), data, 0o600)
}

func (p *provisioning) loadTexts() error {
	data, err := os.ReadFile(p.textsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		return fmt.Errorf("reading the texts of earlier stages: %w", err)
	}
	for name, text := range texts {
		p.rec.Text(name, []byte(text))
	}
	return nil
}
