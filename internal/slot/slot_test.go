package slot

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func hash(version string) (h [32]byte) { copy(h[:], version); return h }

func key(h [32]byte) (k Key) { copy(k[:], h[:]); return k }

// machine is a state in short: "A:1.0.0 B:2.0.0" for the slots, the booted one
// first, and the kernels' files.
func machine(slots string, files ...string) State {
	s := State{Holds: map[ID]Key{}}
	for i, w := range strings.Fields(slots) {
		id, version, _ := strings.Cut(w, ":")
		if i == 0 {
			s.Booted, s.Running = ID(id), hash(version)
		}
		s.Holds[ID(id)] = key(hash(version))
	}
	for _, f := range files {
		n, ok := ParseName("wellcar-" + f + ".efi")
		if !ok {
			panic(f)
		}
		s.Kernels = append(s.Kernels, Kernel{n, hash(n.Version)})
	}
	return s
}

func do(s State, changes []Change) State {
	kernels := append([]Kernel(nil), s.Kernels...)
	s.Kernels = nil
	for _, k := range kernels {
		keep := true
		for _, c := range changes {
			if c.From == k.Name {
				if keep = c.To != nil; keep {
					k.Name = *c.To
				}
				break
			}
		}
		if keep {
			s.Kernels = append(s.Kernels, k)
		}
	}
	return s
}

func files(s State) string {
	var out []string
	for _, k := range Order(s.Kernels) {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(k.File(), "wellcar-"), ".efi"))
	}
	return strings.Join(out, " ")
}

func TestName(t *testing.T) {
	for file, want := range map[string]Name{
		"wellcar-1.2.3.efi":       {"1.2.3", false, 0, 0, false},
		"wellcar-1.2.3+3.efi":     {"1.2.3", true, 3, 0, false},
		"wellcar-1.2.3+2-1.efi":   {"1.2.3", true, 2, 1, false},
		"wellcar-1.2.3+0-3.efi":   {"1.2.3", true, 0, 3, false},
		"wellcar-1.2.3+0-0.efi":   {"1.2.3", true, 0, 0, false},
		"wellcar-1.2.3+0.efi":     {"1.2.3", true, 0, 0, true},
		"wellcar-1.2-rc1+1.efi":   {"1.2-rc1", true, 1, 0, false},
		"wellcar-1.2-rc1.efi":     {"1.2-rc1", false, 0, 0, false},
		"wellcar-1.2.3~a+1-2.efi": {"1.2.3~a", true, 1, 2, false},
	} {
		got, ok := ParseName(file)
		if !ok || got != want || got.File() != file {
			t.Errorf("%s: %+v, %v, written %s", file, got, ok, got.File())
		}
	}
	for _, file := range []string{"linux-1.efi", "wellcar-.efi", "wellcar-1.efi.tmp", "wellcar-1+.efi", "wellcar-1+x.efi", "wellcar-../1.efi", ".wellcar-1.efi"} {
		if n, ok := ParseName(file); ok {
			t.Errorf("%s was read as %+v", file, n)
		}
	}
}

func TestCompare(t *testing.T) {
	rising := []string{"0.0.0", "0.1.0", "0.1.1~rc1", "0.1.1", "0.1.1-1", "0.1.10", "0.2", "1.0.0", "4593.2.5", "10000.0.0"}
	for i, a := range rising {
		for j, b := range rising {
			if got, want := Compare(a, b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%s and %s: %d, want %d", a, b, got, want)
			}
		}
	}
	if Compare("1.02", "1.2") != 0 {
		t.Error("leading zeros count")
	}
}

func TestViews(t *testing.T) {
	for _, c := range []struct {
		state State
		want  string
	}{
		{machine("A:1.0.0", "1.0.0"), "A 1 0 true; B 0 0 false"},
		{machine("A:1.0.0", "1.0.0+2-1"), "A 1 2 false; B 0 0 false"},
		{machine("A:1.0.0 B:2.0.0", "1.0.0", "2.0.0+3"), "A 1 0 true; B 2 3 false"},
		{machine("B:2.0.0 A:1.0.0", "1.0.0", "2.0.0"), "A 1 0 true; B 2 0 true"},
		{machine("A:1.0.0 B:2.0.0", "1.0.0", "2.0.0+0-3"), "A 2 0 true; B 0 0 false"},
		{machine("B:2.0.0 A:1.0.0", "2.0.0+0-0", "1.0.0"), "A 2 0 true; B 1 0 true"},
		{machine("A:1.0.0 B:2.0.0", "1.0.0", "2.0.0+0"), "A 2 0 true; B 1 3 false"},
		{machine("A:1.0.0 B:2.0.0", "1.0.0", "3.0.0"), "A 1 0 true; B 0 0 false"},
	} {
		v := c.state.Views(key)
		show := func(id ID) string {
			return fmt.Sprintf("%s %d %d %v", id, v[id].Priority, v[id].Tries, v[id].Successful)
		}
		if got := show(A) + "; " + show(B); got != c.want {
			t.Errorf("%s: %s, want %s", files(c.state), got, c.want)
		}
	}
}

func TestChanges(t *testing.T) {
	one, zero, yes, no := 1, 0, true, false
	for name, c := range map[string]struct {
		state State
		act   func(State) ([]Change, error)
		want  string // the kernels, first to start first, or the error
	}{
		"good":                    {machine("B:2.0.0 A:1.0.0", "1.0.0", "2.0.0+2-1"), MarkGood, "2.0.0 1.0.0"},
		"good again":              {machine("B:2.0.0 A:1.0.0", "1.0.0", "2.0.0"), MarkGood, "2.0.0 1.0.0"},
		"good after a step down":  {machine("B:1.0.0 A:2.0.0", "1.0.0+2-1", "2.0.0+0-0"), MarkGood, "1.0.0 2.0.0+0-0"},
		"good without a kernel":   {machine("B:2.0.0", "1.0.0"), MarkGood, "no kernel"},
		"bad":                     {machine("B:2.0.0 A:1.0.0", "1.0.0", "2.0.0+2-1"), bad, "1.0.0 2.0.0+0-1"},
		"bad after a step down":   {machine("B:1.0.0 A:2.0.0", "1.0.0+2-1", "2.0.0+0-0"), bad, "2.0.0 1.0.0+0-1"},
		"bad but alone":           {machine("B:2.0.0", "2.0.0+2-1"), bad, "no other version"},
		"bad and the other worse": {machine("B:2.0.0 A:1.0.0", "2.0.0+2-1", "1.0.0+0-3"), bad, "no other version"},
		"clear":                   {machine("A:1.0.0 B:2.0.0", "1.0.0", "2.0.0", "0.9.0"), func(s State) ([]Change, error) { return Clear(s), nil }, "1.0.0"},
		"deactivate":              {machine("A:2.0.0 B:1.0.0", "2.0.0+0-0", "1.0.0+3"), func(s State) ([]Change, error) { return Deactivate(s), nil }, "2.0.0"},
		"older first":             {machine("B:2.0.0 A:1.0.0", "2.0.0", "1.0.0"), first(A), "1.0.0 2.0.0+0-0"},
		"and back":                {machine("A:1.0.0 B:2.0.0", "2.0.0+0-0", "1.0.0"), first(B), "2.0.0 1.0.0"},
		"spent one first":         {machine("A:1.0.0 B:2.0.0", "2.0.0+0-3", "1.0.0"), first(B), "2.0.0+3 1.0.0"},
		"running one first":       {machine("A:1.0.0 B:2.0.0", "2.0.0+3", "1.0.0"), first(A), "1.0.0 2.0.0+0"},
		"unproved one first":      {machine("A:1.0.0 B:2.0.0", "2.0.0+0", "1.0.0"), first(B), "2.0.0+3 1.0.0"},
		"unproved one last again": {machine("A:1.0.0 B:2.0.0", "2.0.0+0", "1.0.0"), first(A), "1.0.0 2.0.0+0"},
		"trial put last":          {machine("B:2.0.0 A:1.0.0", "2.0.0+2-1", "1.0.0"), first(A), "1.0.0 2.0.0+0"},
		"good, but put last":      {machine("B:2.0.0 A:1.0.0", "2.0.0+0", "1.0.0"), MarkGood, "1.0.0 2.0.0+0-0"},
		"good, and alone":         {machine("B:2.0.0 A:1.0.0", "2.0.0+0", "1.0.0+0-3"), MarkGood, "2.0.0 1.0.0+0-3"},
		"bad, the other unproved": {machine("A:1.0.0 B:2.0.0", "2.0.0+0", "1.0.0+2-1"), bad, "2.0.0+3 1.0.0+0-1"},
		"deactivate an unproved":  {machine("A:2.0.0 B:1.0.0", "2.0.0+0", "1.0.0+3"), func(s State) ([]Change, error) { return Deactivate(s), nil }, "2.0.0+3"},
		"unproved, successful":    {machine("A:1.0.0 B:2.0.0", "2.0.0+0", "1.0.0"), set(B, nil, &yes), "1.0.0 2.0.0+0-0"},
		"unproved, tries":         {machine("A:1.0.0 B:2.0.0", "2.0.0+0", "1.0.0"), set(B, &one, nil), "2.0.0+1 1.0.0"},
		"blank one first":         {machine("A:1.0.0", "1.0.0"), first(B), "no kernel"},
		"tries":                   {machine("A:1.0.0 B:2.0.0", "2.0.0+3", "1.0.0"), set(B, &one, &no), "2.0.0+1 1.0.0"},
		"successful":              {machine("A:1.0.0 B:2.0.0", "2.0.0+3", "1.0.0"), set(B, &zero, &yes), "2.0.0 1.0.0"},
		"not successful":          {machine("A:1.0.0 B:2.0.0", "2.0.0", "1.0.0"), set(B, &one, &no), "2.0.0+1-1 1.0.0"},
		"condemned":               {machine("A:1.0.0 B:2.0.0", "2.0.0", "1.0.0"), set(B, &zero, &no), "1.0.0 2.0.0+0-1"},
	} {
		changes, err := c.act(c.state)
		got := files(do(c.state, changes))
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func bad(s State) ([]Change, error) { return MarkBad(s, key) }

func first(id ID) func(State) ([]Change, error) {
	return func(s State) ([]Change, error) { return Prioritize(s, id, key) }
}

func set(id ID, tries *int, successful *bool) func(State) ([]Change, error) {
	return func(s State) ([]Change, error) { return Set(s, id, tries, successful, key) }
}

func TestActivate(t *testing.T) {
	for _, c := range []struct {
		state State
		want  string
	}{
		{machine("A:1.0.0", "1.0.0"), "2.0.0+3 1.0.0"},
		{machine("A:3.0.0", "3.0.0"), "2.0.0+3 3.0.0+0-0"},
		{machine("A:1.0.0", "1.0.0+0-0"), "2.0.0+3 1.0.0"},
		{machine("A:1.0.0", "1.0.0+2-1"), "2.0.0+3 1.0.0"},
		{machine("A:3.0.0", "3.0.0+2-1"), "2.0.0+3 3.0.0+0-0"},
		{machine("A:1.0.0 B:0.9.0", "1.0.0+2-1", "0.9.0"), "has not proved itself"},
		{machine("A:2.0.0", "2.0.0"), "has this version"},
		{machine("A:1.0.0", "3.0.0"), "no kernel"},
	} {
		name, changes, err := Activate(c.state, "2.0.0", hash("2.0.0"))
		s := do(c.state, changes)
		s.Kernels = append(s.Kernels, Kernel{name, hash("2.0.0")})
		if err == nil && files(s) != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %v; want %s", files(s), err, c.want)
		}
	}
	if _, _, err := Activate(machine("A:1.0.0", "1.0.0"), "1.0.1", hash("1.0.0")); err == nil {
		t.Error("the running image was activated under another version")
	}
}

// TestLives starts machines over and over as systemd-boot would, until they
// settle: whatever a new version does, in the end something good runs.
func TestLives(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		healthy  bool // the new one passes its checks
		panics   bool // or does not even reach them
		want     string
	}{
		"up and good":      {"1.0.0", "2.0.0", true, false, "2.0.0"},
		"up and sick":      {"1.0.0", "2.0.0", false, false, "1.0.0"},
		"up and panicking": {"1.0.0", "2.0.0", false, true, "1.0.0"},
		"down and good":    {"2.0.0", "1.0.0", true, false, "1.0.0"},
		"down and sick":    {"2.0.0", "1.0.0", false, false, "2.0.0"},
		"down and panics":  {"2.0.0", "1.0.0", false, true, "2.0.0"},
	} {
		s := machine("A:"+c.from+" B:"+c.to, c.from)
		n, changes, err := Activate(s, c.to, hash(c.to))
		if err != nil {
			t.Fatal(err)
		}
		s = do(s, changes)
		s.Kernels = append(s.Kernels, Kernel{n, hash(c.to)})
		for range 10 {
			s = start(t, s, c.to, c.healthy, c.panics)
		}
		if k, _ := s.RunningKernel(); k.Version != c.want || !k.Good() {
			t.Errorf("%s: ended with %s running among %s", name, k.Version, files(s))
		}
	}
}

// TestPutBackAndForth: a version that never ran is not good because a person
// put another before it, and then it first again.
func TestPutBackAndForth(t *testing.T) {
	for name, c := range map[string]struct {
		healthy, panics bool
		want            string
	}{
		"good": {true, false, "2.0.0 1.0.0"}, "sick": {false, false, "1.0.0 2.0.0+0-1"}, "panicking": {false, true, "1.0.0 2.0.0+0-3"},
	} {
		s := machine("A:1.0.0 B:2.0.0", "1.0.0", "2.0.0+3")
		for _, id := range []ID{A, B} {
			changes, err := Prioritize(s, id, key)
			if err != nil {
				t.Fatal(err)
			}
			s = do(s, changes)
			if id == A {
				s = start(t, s, "2.0.0", c.healthy, c.panics)
			}
		}
		for range 5 {
			s = start(t, s, "2.0.0", c.healthy, c.panics)
		}
		if files(s) != c.want {
			t.Errorf("%s: %s, want %s", name, files(s), c.want)
		}
	}
}

func start(t *testing.T, s State, tested string, healthy, panics bool) State {
	next := Order(s.Kernels)[0]
	if next.Counted && next.Left > 0 { // what systemd-boot does
		s = do(s, next.to(Name{Version: next.Version, Counted: true, Left: next.Left - 1, Done: next.Done + 1}))
	}
	s.Running = next.RootHash
	s.Booted, _ = s.SlotOf(next, key)
	switch {
	case next.Version == tested && panics:
		return s
	case next.Version == tested && !healthy:
		changes, err := MarkBad(s, key)
		if err != nil {
			t.Fatal(err)
		}
		return do(s, changes)
	}
	changes, err := MarkGood(s)
	if err != nil {
		t.Fatal(err)
	}
	return do(s, changes)
}

func TestJudge(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list := []Bad{{Version: "2.0.0", Reason: "the port 80 was closed", When: when}}
	for _, c := range []struct {
		running, offered string
		wanted, want     bool
		why              string
	}{
		{"1.0.0", "1.1.0", false, true, "above"},
		{"1.0.0", "2.0.0", false, false, "the port 80 was closed"},
		{"1.0.0", "2.0.0", true, false, "the port 80 was closed"},
		{"1.0.0", "1.5.0", true, true, "asked for"},
		{"1.0.0", "2.0.1", false, true, "above"},
		{"1.0.0", "0.9.0", false, false, "not above"},
		{"1.0.0", "0.9.0", true, true, "asked for"},
		{"1.0.0", "1.0.0", true, false, "is running"},
		{"0.0.0", "0.0.0~1", false, true, "above"},
	} {
		got := Judge(c.running, c.offered, list, c.wanted)
		if got.Install != c.want || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s, offered %s: %+v", c.running, c.offered, got)
		}
	}
	again := Remember(list, Bad{Version: "2.0.0", Reason: "again"})
	if diff := cmp.Diff([]Bad{{Version: "2.0.0", Reason: "again"}}, again); diff != "" {
		t.Error(diff)
	}
	if left := Forget(again, "2.0.0"); len(left) != 0 {
		t.Error(left)
	}
}

func TestAfter(t *testing.T) {
	for _, c := range []struct {
		running, staged, previous string
		want                      Outcome
	}{{"1", "", "", NothingStaged}, {"2", "2", "1", Arrived}, {"1", "2", "1", WentBack}, {"3", "2", "1", NothingStaged}} {
		if got := After(c.running, c.staged, c.previous); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"wellcar-1.2.3+3-0.efi", "wellcar-1.efi", "wellcar-1+0-0.efi", "wellcar-1+0.efi"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		n, ok := ParseName(file)
		if !ok {
			return
		}
		if again, ok := ParseName(n.File()); !ok || again != n {
			t.Errorf("%q is %+v, written %q", file, n, n.File())
		}
		if strings.ContainsAny(n.File(), "/\\") {
			t.Errorf("%q leaves the folder", file)
		}
	})
}
