package provision

import (
	"bytes"
	"encoding/json"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// disguise gives what the upstream packages refuse a form that they take:
// sources on the OEM partition another scheme, and partitions without a number
// one if others of the disk shall not exist. A text without either comes back
// as it is.
func disguise(data []byte) []byte {
	oem, absent := bytes.Contains(data, []byte("oem:")), bytes.Contains(data, []byte("shouldExist"))
	if !oem && !absent {
		return data
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var root any
	if d.Decode(&root) != nil {
		return data
	}
	changed := oem && rewriteSources(root, oemScheme, oemAsTFTP)
	changed = absent && numberAll(root) || changed
	if !changed {
		return data
	}
	out, err := json.Marshal(root)
	if err != nil {
		return data
	}
	return out
}

// reveal undoes disguise in a config that was read.
func reveal(cfg types.Config) types.Config {
	for _, d := range cfg.Storage.Disks {
		for i, p := range d.Partitions {
			if p.Number >= noNumber {
				d.Partitions[i].Number = 0
			}
		}
	}
	return revealOEM(cfg)
}

// noNumber and above are partitions without a number. No table has as many.
const noNumber = 1 << 24

// numberAll numbers the partitions of disks that have both kinds, and tells
// whether there were any.
func numberAll(root any) bool {
	found := false
	disks, _ := (Path{"storage", "disks"}).get(root).([]any)
	for d := range disks {
		partitions, _ := (Path{d, "partitions"}).get(disks).([]any)
		if numberDisk(partitions) {
			found = true
		}
	}
	return found
}

func numberDisk(partitions []any) bool {
	var without []map[string]any
	absent := false
	for _, p := range partitions {
		entry, _ := p.(map[string]any)
		if entry == nil {
			continue
		}
		absent = absent || entry["shouldExist"] == false
		number, has := entry["number"]
		if label, _ := entry["label"].(string); label != "" && (!has || number == nil || number == json.Number("0")) {
			without = append(without, entry)
		}
	}
	if !absent {
		return false
	}
	for i, entry := range without {
		entry["number"] = noNumber + i
	}
	return len(without) > 0
}
