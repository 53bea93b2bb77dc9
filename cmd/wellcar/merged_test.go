package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestMergedUnits looks at the units of configs that another one embeds, and
// of those that a plan fetches.
func TestMergedUnits(t *testing.T) {
	const child = `{"ignition":{"version":"3.4.0"},"systemd":{"units":[{"name":"a.service","contents":"[Service]\nType=onehsot\nExecStart=/bin/true\n"}]}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(child)) }))
	t.Cleanup(server.Close)
	own := `systemd: {units: [{name: b.service, contents: "[Service]\nExecStart=true\nFoo=1\n"}]}` + "\n"
	inline := "variant: flatcar\nversion: 1.1.0\nignition:\n  config:\n    merge:\n      - inline: |\n          " + child + "\n" + own
	remote := "variant: flatcar\nversion: 1.1.0\nignition: {config: {merge: [{source: " + server.URL + "}]}}\n" + own
	const fault = `warning: unit a.service: Type has a value that cannot be read, "onehsot"`
	for _, c := range []struct {
		text, verb, want string
	}{
		{inline, "config", "-:6:9: " + fault},
		{inline, "plan", "-:6:9: " + fault},
		{remote, "config", ""},
		{remote, "plan", "> " + server.URL + ":1:84: " + fault},
	} {
		_, _, errs := try(t.Context(), joins{}, c.text, c.verb, "-")
		if !strings.Contains(errs, c.want) || strings.Count(errs, fault) != min(len(c.want), 1) || strings.Count(errs, "Foo is not known") != 1 {
			t.Errorf("%s of\n%s\n%s", c.verb, c.text, errs)
		}
	}
}
