package slot

import "testing"

func TestEndsByRestart(t *testing.T) {
	for _, c := range []struct {
		what  string
		files []string
		old   bool
		want  bool
	}{
		{"on trial", []string{"wellcar-2+2-1.efi", "wellcar-1.efi"}, false, true},
		{"its last start", []string{"wellcar-2+0-3.efi", "wellcar-1.efi"}, false, true},
		{"an older version on trial", []string{"wellcar-2+2-1.efi", "wellcar-3+0-0.efi"}, false, true},
		{"good", []string{"wellcar-2.efi", "wellcar-1.efi"}, false, false},
		{"good and held back", []string{"wellcar-2+0-0.efi", "wellcar-1.efi"}, false, false},
		{"the only one", []string{"wellcar-2+2-1.efi"}, false, false},
		{"the other was given up", []string{"wellcar-2+2-1.efi", "wellcar-3+0-3.efi"}, false, false},
		{"moved from another system", []string{"wellcar-2+0-1.efi"}, true, true},
		{"no start was counted", []string{"wellcar-2+3.efi", "wellcar-1.efi"}, false, false},
		{"not there", []string{"wellcar-1.efi"}, true, false},
	} {
		var names []Name
		for _, f := range c.files {
			n, ok := ParseName(f)
			if !ok {
				t.Fatal(f)
			}
			names = append(names, n)
		}
		if got := EndsByRestart(names, "2", c.old); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// TestAfterMenu: under GRUB a name says nothing of the starts since it was made.
func TestAfterMenu(t *testing.T) {
	names := []Name{{Version: "2", Counted: true, Left: 3}, {Version: "1"}}
	for tries, want := range map[string]bool{"III": false, "-II": true, "---": true} {
		menu := map[string]string{"file_1": "wellcar-2+3.efi", "tries_1": tries, "file_2": "wellcar-1.efi", "tries_2": ""}
		if got := EndsByRestart(AfterMenu(names, menu), "2", false); got != want {
			t.Errorf("%s: %v", tries, got)
		}
	}
	if names[0].Left != 3 {
		t.Error("the names that were given are changed")
	}
}
