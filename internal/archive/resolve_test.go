package archive

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// makeIndex reads packages written as lines "name version: field=value; ...".
func makeIndex(t testing.TB, text string) *Index {
	t.Helper()
	x := &Index{packages: map[string]*Package{}}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		head, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, version, _ := strings.Cut(head, " ")
		fields := ""
		for _, f := range strings.Split(rest, ";") {
			if key, value, found := strings.Cut(strings.TrimSpace(f), "="); found {
				fields += key + ": " + value + "\n"
			}
		}
		stanza := fakePackage{name: name, version: version, fields: fields}.stanza()
		if err := x.add(strings.NewReader(stanza), Main, "amd64"); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.link(); err != nil {
		t.Fatal(err)
	}
	return x
}

func names(packages []*Package) string {
	var out []string
	for _, p := range packages {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestResolve(t *testing.T) {
	tests := map[string]struct {
		index, want, drop string
		picks             string
		fails             []string
	}{
		"chain":                    {"a 1: Depends=b\nb 1: Pre-Depends=c (>= 2)\nc 2:\nd 1:", "a", "", "a b c", nil},
		"no recommends":            {"a 1: Recommends=b; Suggests=b\nb 1:", "a", "", "a", nil},
		"cycle":                    {"a 1: Depends=b\nb 1: Depends=a", "a", "", "a b", nil},
		"first alternative":        {"a 1: Depends=x | y\nx 1:\ny 1:", "a", "", "a x", nil},
		"alternative that is":      {"a 1: Depends=x | y\ny 1:", "a", "", "a y", nil},
		"alternative by version":   {"a 1: Depends=x (>= 2) | y\nx 1:\ny 1:", "a", "", "a y", nil},
		"alternative not dropped":  {"a 1: Depends=x | y\nx 1:\ny 1:", "a", "x", "a y", nil},
		"alternative wanted":       {"a 1: Depends=x | y\nx 1:\ny 1:", "a,y", "", "a y", nil},
		"alternative chosen later": {"a 1: Depends=x | y\nb 1: Depends=c\nc 1: Depends=y\nx 1:\ny 1:", "a,b", "", "a b c y", nil},
		"provided":                 {"a 1: Depends=mta\nexim 1: Provides=mta\npostfix 1: Provides=mta", "a", "", "a exim", nil},
		"provided by the base":     {"a 1: Depends=awk\ngawk 1: Provides=awk; Priority=optional\nmawk 1: Provides=awk; Priority=required", "a", "", "a mawk", nil},
		"provided by a chosen":     {"a 1: Depends=mta\nexim 1: Provides=mta\npostfix 1: Provides=mta", "a,postfix", "", "a postfix", nil},
		"provided version":         {"a 1: Depends=v (>= 2)\np 1: Provides=v\nq 1: Provides=v (= 2.1)", "a", "", "a q", nil},
		"provided without one":     {"a 1: Depends=v (>= 2)\np 1: Provides=v", "a", "", "", []string{"a: nothing provides v (>= 2)"}},
		"dropped":                  {"a 1: Depends=b, c\nb 1: Depends=d\nc 1:\nd 1:", "a", "b", "a c", nil},
		"dropped and unknown":      {"a 1: Depends=b (>= 9)", "a", "b", "a", nil},
		"dropped provider":         {"a 1: Depends=v\np 1: Provides=v", "a", "p", "a", nil},
		"wanted and dropped":       {"a 1:", "a", "a", "", []string{"resolving a: it is both wanted and dropped"}},
		"missing": {"docker.io 1: Depends=containerd\ncontainerd 1: Depends=runc\nrunc 1: Depends=x (>= 1)\nx 0.9:", "docker.io", "", "",
			[]string{"resolving docker.io -> containerd -> runc: nothing provides x (>= 1) (x is 0.9)"}},
		"all that is missing": {"a 1: Depends=x, y | z", "a,b", "", "",
			[]string{"resolving a: nothing provides x\n", "resolving a: nothing provides y | z", "resolving the wanted packages: nothing provides b"}},
		"versions":           {"a 1: Depends=b (<< 2), b (<= 1.5), b (= 1.5), b (>= 1:0) | b (>> 1.4), b (> 1.5)\nb 1.5:", "a", "", "a b", nil},
		"tilde":              {"a 1: Depends=b (>= 2~), c (>= 2)\nb 2~rc1:\nc 2~rc1:", "a", "", "", []string{"nothing provides c (>= 2) (c is 2~rc1)"}},
		"qualified":          {"a 1: Depends=python3:any (>= 3.13)\npython3 3.13.5:", "a", "", "a python3", nil},
		"newest":             {"a 1:\na 1+deb13u1: Depends=b\na 1~bpo:\nb 1:", "a", "", "a b", nil},
		"wanted expression":  {"x 1:\ny 1:", "x (>= 2) | y", "", "y", nil},
		"unreadable":         {"a 1: Depends=b (1)\nb 1:", "a", "", "", []string{`resolving a: reading the relation "b (1)"`}},
		"unreadable version": {"a 1: Depends=b (>= x_%)\nb 1:", "a", "", "", []string{`resolving a: reading the version "x_%"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := map[string][]string{"image": strings.Split(tt.want, ",")}
			picks, err := Resolve(makeIndex(t, tt.index), want, strings.Fields(tt.drop))
			if tt.fails != nil {
				wantError(t, err, tt.fails...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := names(picks.Groups["image"]); got != tt.picks {
				t.Errorf("got %s, want %s", got, tt.picks)
			}
		})
	}
}

func TestResolveGroupsAreApart(t *testing.T) {
	x := makeIndex(t, "a 1: Depends=x | y\nb 1: Depends=y\nx 1:\ny 1:")
	picks, err := Resolve(x, map[string][]string{"image": {"a"}, "tools": {"b", "a"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(picks.Groups["image"]) + ", " + names(picks.Groups["tools"]); got != "a x, a b y" {
		t.Error(got)
	}
}

func TestResolveReportsConflicts(t *testing.T) {
	x := makeIndex(t, `
		chrony 1: Conflicts=time-daemon, self; Provides=time-daemon, self
		timesyncd 1: Provides=time-daemon
		old 1: Breaks=chrony (<< 1), chrony (<< 2)
		gone 1: Conflicts=chrony`)
	picks, err := Resolve(x, map[string][]string{"image": {"chrony", "timesyncd", "old"}, "tools": {"chrony", "old"}, "other": {"timesyncd"}}, []string{"gone"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`image: chrony conflicts with timesyncd (it states "time-daemon")`,
		`image: old breaks chrony (it states "chrony (<< 2)")`,
		`tools: old breaks chrony (it states "chrony (<< 2)")`,
	}
	if diff := cmp.Diff(want, picks.Conflicts); diff != "" {
		t.Error(diff)
	}
}
