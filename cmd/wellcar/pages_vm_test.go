package main

import "testing"

func TestCPUsOfPages(t *testing.T) {
	for _, c := range []struct{ wanted, host, machines, want int }{
		{3, 2, 2, 3},
		{0, 2, 2, 1}, {0, 1, 2, 1}, {0, 2, 1, 2},
		{0, 7, 2, 3}, {0, 64, 2, 4},
		{0, 2, 0, 2},
	} {
		if got := cpusOf(c.wanted, c.host, c.machines); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
