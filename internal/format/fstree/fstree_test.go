package fstree

import (
	"testing"
)

func put(t *testing.T, tr *Tree, nodes ...Node) {
	t.Helper()
	for _, n := range nodes {
		if err := tr.Put(n); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNodesAreInPathOrder(t *testing.T) {
	tr := New()
	put(t, tr, Node{Path: "a.b", Kind: File}, Node{Path: "/a/z", Kind: File}, Node{Path: "./a/c", Kind: File})
	want := []string{".", "a", "a/c", "a/z", "a.b"}
	for i, n := range tr.Nodes() {
		if n.Path != want[i] {
			t.Fatalf("node %d is %s, want %s", i, n.Path, want[i])
		}
	}
}

func TestPutRefusesAFileAsParent(t *testing.T) {
	tr := New()
	put(t, tr, Node{Path: "etc/passwd", Kind: File, Origin: "base-files"})
	if err := tr.Put(Node{Path: "etc/passwd/x", Kind: File, Origin: "other"}); err == nil {
		t.Fatal("a file was accepted as a parent")
	}
}

func TestResolve(t *testing.T) {
	tr := New()
	put(t, tr,
		Node{Path: "usr/bin/bash", Kind: File},
		Node{Path: "bin", Kind: Symlink, Target: "usr/bin"},
		Node{Path: "usr/bin/sh", Kind: Symlink, Target: "/bin/bash"},
		Node{Path: "loop", Kind: Symlink, Target: "loop"},
		Node{Path: "usr/lib/x", Kind: Symlink, Target: "../../../../bin/sh"})
	for name, want := range map[string]string{"/bin/sh": "usr/bin/bash", "usr/lib/x": "usr/bin/bash", "loop": "", "bin/none": ""} {
		got := ""
		if n := tr.Resolve(name); n != nil {
			got = n.Path
		}
		if got != want {
			t.Errorf("Resolve(%s) = %q, want %q", name, got, want)
		}
	}
}

func TestSubAndRemove(t *testing.T) {
	tr := New()
	put(t, tr, Node{Path: "usr/a", Kind: File}, Node{Path: "usr/b", Kind: File, LinkTo: "usr/a"}, Node{Path: "etc/x", Kind: File})
	sub := tr.Sub("usr")
	if sub.Len() != 3 || sub.Get("b").LinkTo != "a" {
		t.Errorf("Sub has %d nodes, link to %q", sub.Len(), sub.Get("b").LinkTo)
	}
	tr.Remove("/usr/")
	if tr.Get("usr/a") != nil || tr.Get("etc/x") == nil {
		t.Error("Remove took the wrong nodes")
	}
}
