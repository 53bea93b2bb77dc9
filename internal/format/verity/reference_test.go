package verity

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

func TestAgainstVeritysetup(t *testing.T) {
	rootLine := regexp.MustCompile(`Root hash:\s+([0-9a-f]{64})`)
	uuid := [16]byte{0x7c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for _, blocks := range edgeBlocks {
		m, tree := image(t, 0, blocks, Params{Salt: testSalt, UUID: func([32]byte) [16]byte { return uuid }})
		dir := t.TempDir()
		ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
		for name, data := range map[string][]byte{ours: m.data, theirs: m.data[:tree.HashOffset]} {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		offset := "--hash-offset=" + strconv.FormatInt(tree.HashOffset, 10)
		out, err := tooltest.Command(t, "veritysetup", "format", theirs, theirs, offset, "--data-blocks="+strconv.FormatInt(blocks, 10),
			"--salt="+hex.EncodeToString(testSalt), "--uuid=7c010203-0405-0607-0809-0a0b0c0d0e0f").CombinedOutput()
		if err != nil {
			t.Fatalf("veritysetup format: %v\n%s", err, out)
		}
		if got := rootLine.FindSubmatch(out); got == nil || string(got[1]) != hex.EncodeToString(tree.RootHash[:]) {
			t.Errorf("%d blocks: our root hash is %x, veritysetup says\n%s", blocks, tree.RootHash, out)
		}
		if data, err := os.ReadFile(theirs); err != nil || string(data) != string(m.data) {
			t.Errorf("%d blocks: veritysetup's file of %d bytes differs from ours of %d (%v)", blocks, len(data), len(m.data), err)
		}
		out, err = tooltest.Command(t, "veritysetup", "verify", ours, ours, hex.EncodeToString(tree.RootHash[:]), offset).CombinedOutput()
		if err != nil {
			t.Errorf("%d blocks: veritysetup verify: %v\n%s", blocks, err, out)
		}
	}
}
