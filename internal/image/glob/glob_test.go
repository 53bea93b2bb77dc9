package glob

import "testing"

func TestPatternMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"usr/share/doc/**", "usr/share/doc/a/b", true},
		{"usr/share/doc/**", "usr/share/doc", false},
		{"usr/share/doc/**", "usr/share/docs/a", false},
		{"usr/share/doc", "usr/share/doc/a/b", true},
		{"usr/share/doc", "usr/share/doc-base", false},
		{"**/*.a", "usr/lib/x/libfoo.a", true},
		{"**/*.a", "libfoo.a", true},
		{"usr/lib/**/*.a", "usr/lib/libfoo.a", true},
		{"usr/lib/**/perl*/x", "usr/lib/a/b/perl5/x/y", true},
		{"usr/{bin,sbin}/perl*", "usr/sbin/perl5", true},
		{"usr/{bin,sbin}/perl*", "usr/libexec/perl5", false},
		{"usr/bin/[a-c]?", "usr/bin/bz", true},
		{"usr/bin/[a-c]?", "usr/bin/bzz", false},
		{"a/*/c", "a/b/c/d", true},
		{"a/*/c", "a/b/d", false},
	} {
		p, err := Compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(c.name); got != c.want {
			t.Errorf("%q on %q: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestListLastMatchDecides(t *testing.T) {
	l, err := CompileList([]string{"usr/share/doc/**", "!usr/share/doc/*/copyright", "usr/share/doc/secret"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"usr/share/doc/a/README": true, "usr/share/doc/a/copyright": false,
		"usr/share/doc/secret/copyright": true, "usr/bin/a": false,
	} {
		if got := l.Match(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, bad := range []string{"", "/", "a/[", "{a", "a}", "{a,{b}}"} {
		if _, err := Compile(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
