package provision

import (
	"strings"
	"testing"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// Upstream after 2.26.0 takes partitions without a number beside ones that
// shall not exist; the packages of 2.26.0 do not.
func TestNumberlessBesideAbsent(t *testing.T) {
	text := `{"ignition":{"version":"3.4.0"},"storage":{"disks":[{"device":"/dev/a","partitions":[
{"number":2,"shouldExist":false,"wipePartitionEntry":true},
{"label":"x","sizeMiB":64},
{"label":"y","number":0}%s]}]}}`
	c, report := Load("a.ign", []byte(strings.Replace(text, "%s", "", 1)), LoadOptions{})
	if len(report) != 0 {
		t.Fatal(report)
	}
	var got []int
	for _, p := range c.Ignition.Storage.Disks[0].Partitions {
		got = append(got, p.Number)
	}
	if len(got) != 3 || got[0] != 2 || got[1] != 0 || got[2] != 0 {
		t.Errorf("numbers %v", got)
	}
	empty := "data:,%7B%22ignition%22:%7B%22version%22:%223.0.0%22%7D%7D"
	c.Ignition.Ignition.Config.Merge = []types.Resource{{Source: &empty}}
	if c, report = c.Render(t.Context(), nil); len(report) != 0 || len(c.Ignition.Storage.Disks[0].Partitions) != 3 {
		t.Error(report)
	}
	_, report = Load("a.ign", []byte(strings.Replace(text, "%s", ",\n{\"sizeMiB\":1}", 1)), LoadOptions{})
	if report.Err() == nil || len(report) != 1 || report[0].Position.Line != 5 {
		t.Error(report)
	}
}
