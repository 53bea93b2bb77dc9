package release

import (
	"encoding/json"
	"fmt"
)

// Takeover is what the program that a payload for update_engine brings has to
// know: which blocks of the image gave way to the file system that it is in,
// and what has to come out. The signature of the payload covers it.
type Takeover struct {
	Version    string   `json:"version"`
	RootHash   string   `json:"root_hash"`
	UsrSize    int64    `json:"usr_size"`  // bytes, without the tree
	TreeSize   int64    `json:"tree_size"` // bytes
	UKISize    int64    `json:"uki_size"`  // bytes
	UKIHash    string   `json:"uki_sha256"`
	LoaderHash string   `json:"loader_sha256"`
	Displaced  []uint32 `json:"displaced"` // numbers of blocks, in the order of TakeoverBlocks
}

// The files of that file system.
const (
	TakeoverProgram = "postinst" // what update_engine runs
	TakeoverRecord  = "takeover.json"
	TakeoverBlocks  = "displaced.bin"
	TakeoverLoader  = "systemd-bootx64.efi"
)

// ParseTakeover reads and checks a record.
func ParseTakeover(data []byte) (Takeover, error) {
	var t Takeover
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("reading %s: %w", TakeoverRecord, err)
	}
	if !ValidVersion(t.Version) || !isDigest(t.RootHash) || !isDigest(t.UKIHash) || !isDigest(t.LoaderHash) ||
		t.UsrSize <= 0 || t.UsrSize%block != 0 || t.TreeSize <= 0 || t.TreeSize%block != 0 || t.UKISize <= 0 || t.UKISize > maxUKI {
		return t, fmt.Errorf("reading %s: a value is not possible", TakeoverRecord)
	}
	for _, n := range t.Displaced {
		if int64(n) >= (t.UsrSize+t.TreeSize)/block {
			return t, fmt.Errorf("reading %s: block %d is not in the image", TakeoverRecord, n)
		}
	}
	return t, nil
}
