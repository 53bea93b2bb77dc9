package main

import (
	"math"
	"strings"
	"testing"
)

const readyOutput = `{"event":"note","text":"accelerator: tcg (asked for)"}
a line of something else
{"event":"progress","phase":"tools","done":1,"total":2}
{"accel":"tcg","event":"ready","ports":{"22":40001},"spans":[{"name":"firmware","seconds":3.5},{"name":"kernel","seconds":4},{"name":"container","seconds":20.25}],"phases":[{"name":"config","seconds":0.75},{"name":"root","seconds":2},{"name":"provision","seconds":0.5}],"url":"http://127.0.0.1:40000/"}
`

func TestReadyAfter(t *testing.T) {
	got, accel, err := readyAfter(parseEvents([]byte(readyOutput)))
	if err != nil || math.Abs(got-27.75) > 1e-9 || accel != "tcg" {
		t.Errorf("readyAfter = %v, %q, %v; want 27.75, tcg", got, accel, err)
	}
	_, _, err = readyAfter(parseEvents([]byte(`{"event":"error","error":"no disk","code":2}`)))
	if err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("an error event gives %v", err)
	}
	if _, _, err = readyAfter(nil); err == nil {
		t.Error("no events are taken for a ready machine")
	}
}

func TestProvisioning(t *testing.T) {
	if got, ok := provisioning(parseEvents([]byte(readyOutput))); got != 1.25 || !ok {
		t.Errorf("provisioning = %v, %v; want 1.25", got, ok)
	}
	if got, ok := provisioning(nil); ok {
		t.Errorf("a machine without phases was provisioned in %v", got)
	}
}

func TestLineTime(t *testing.T) {
	const log = "     0.001 BdsDxe: starting\n    14.250 This is localhost (Wellcar Container Linux 0.1.0 Linux x86_64 6.12) 12:00:00\n" +
		"    19.125 localhost login: [   15.1] bench: docker answers\n"
	for _, c := range []struct {
		log  string
		at   float64
		want bool
	}{{log, 14.25, true}, {"  44.500 Debian GNU/Linux 13 peer ttyS0\n", 44.5, true}, {"  1.0 nothing\n", 0, false}} {
		at, ok := lineTime(strings.NewReader(c.log), loginLine)
		if at != c.at || ok != c.want {
			t.Errorf("login in %q: %v, %v; want %v, %v", c.log, at, ok, c.at, c.want)
		}
	}
	if at, ok := lineTime(strings.NewReader(log), dockerLine); at != 19.125 || !ok {
		t.Errorf("docker: %v, %v", at, ok)
	}
}
