package volume

import "testing"

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if n, err := Free(dir); err != nil || n < 0 {
		t.Errorf("free: %d, %v", n, err)
	}
	if err := Sync(dir); err != nil {
		t.Error(err)
	}
	if _, err := Free(dir + "/none"); err == nil {
		t.Error("a folder that does not exist has room")
	}
	if err := Sync(dir + "/none"); err == nil {
		t.Error("a folder that does not exist was synced")
	}
}
