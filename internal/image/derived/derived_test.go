package derived

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGet(t *testing.T) {
	c := Cache{Dir: filepath.Join(t.TempDir(), "derived"), Code: []byte("one")}
	made := 0
	get := func() Files {
		files, err := c.Get(context.Background(), "test", [32]byte{1}, func(context.Context) (Files, error) {
			made++
			return Files{"a": []byte("one"), "b": {}, "": []byte("two")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	first, second := get(), get()
	if d := cmp.Diff(first, second); d != "" || made != 1 {
		t.Errorf("made %d times: %s", made, d)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	name := filepath.Join(c.Dir, entries[0].Name())
	if err := os.Truncate(name, 60); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first, get()); d != "" || made != 2 {
		t.Errorf("made %d times after damage: %s", made, d)
	}
	c.Code = []byte("two")
	if get(); made != 3 {
		t.Error("other code got the old entry")
	}
	c.Code = []byte("one")
	if get(); made != 3 {
		t.Error("other code replaced the old entry")
	}
}

func TestGetPassesTheError(t *testing.T) {
	want := errors.New("no")
	c := Cache{Dir: t.TempDir()}
	if _, err := c.Get(context.Background(), "test", [32]byte{}, func(context.Context) (Files, error) { return nil, want }); !errors.Is(err, want) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(c.Dir); len(left) != 0 {
		t.Error("something was kept")
	}
}
