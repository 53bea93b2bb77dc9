//go:build linux

package main

import (
	"fmt"
	"io"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/journal"
)

// priority is that of syslog(3).
type priority int

const (
	critical priority = 2
	warning  priority = 4
	info     priority = 6
	debug    priority = 7
)

// levels are the names that the log of Ignition has for priorities.
var levels = map[priority]string{critical: "CRITICAL", 3: "ERROR", warning: "WARNING", 5: "NOTICE", info: "INFO", debug: "DEBUG"}

// teller takes what an applet has to tell. Fields are for programs that read
// the log.
type teller interface {
	tell(p priority, text string, fields ...journal.Field)
}

// plainLog writes lines behind the name of the applet.
type plainLog struct {
	out  io.Writer
	name string
}

func (l plainLog) tell(p priority, text string, _ ...journal.Field) {
	if p < debug {
		fmt.Fprintf(l.out, "%s: %s\n", l.name, text)
	}
}

// levelLog writes lines as Ignition does.
type levelLog struct{ out io.Writer }

func (l levelLog) tell(p priority, text string, _ ...journal.Field) {
	fmt.Fprintf(l.out, "%-9s: %s\n", levels[p], text)
}

// systemLog writes to the journal, and what that does not take to out.
type systemLog struct {
	journal *journal.Log
	out     levelLog
}

func (l systemLog) tell(p priority, text string, fields ...journal.Field) {
	if err := l.journal.Send(int(p), text, fields...); err != nil {
		l.out.tell(p, text)
	}
}

// openLog is the log of ignition: the journal, if there is one and stdout is
// not asked for.
func openLog(out io.Writer, toStdout bool) (teller, func()) {
	if !toStdout {
		if j, err := journal.Dial(journal.Socket, "ignition"); err == nil {
			return systemLog{j, levelLog{out}}, func() { j.Close() }
		}
	}
	return levelLog{out}, func() {}
}

// fetchedEntry is the journal entry of a config that was read.
func fetchedEntry(c provision.FetchedConfig) (string, []journal.Field) {
	referenced := ""
	if c.Referenced {
		referenced = "referenced "
	}
	return fmt.Sprintf("fetched %s%s config from %q", referenced, c.Kind, c.Source), []journal.Field{
		{Name: "MESSAGE_ID", Value: "57124006b5c94805b77ce473e92a8aeb"},
		{Name: "IGNITION_CONFIG_TYPE", Value: c.Kind},
		{Name: "IGNITION_CONFIG_SRC", Value: c.Source},
		{Name: "IGNITION_CONFIG_REFERENCED", Value: fmt.Sprint(c.Referenced)},
	}
}

// keysEntry are the fields of the entry of a written key file.
func keysEntry(user, path string) []journal.Field {
	return []journal.Field{
		{Name: "MESSAGE_ID", Value: "225067b87bbd4a0cb6ab151f82fa364b"},
		{Name: "IGNITION_USER_NAME", Value: user},
		{Name: "IGNITION_PATH", Value: path},
	}
}
