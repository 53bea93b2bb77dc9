package layout

import "testing"

func TestKeepRule(t *testing.T) {
	k, err := ParseKeepRule("/etc/ssh/ssh_host_.*|/var/log\n")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/etc/ssh/ssh_host_rsa_key": true, "/etc/ssh": false, "/etc/ssh/sshd_config": false, "/var/log": true, "/var/log/journal/x": true,
		"/var/logs": false, "/x/var/log": false, "/flatcar-backup/etc": true, "/flatcar-backups": false,
	} {
		if got := k.Keeps(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if nothing, err := ParseKeepRule(" "); err != nil || nothing.Keeps("/etc") || nothing.Keeps("") {
		t.Errorf("an empty rule keeps something: %v", err)
	}
	if _, err := ParseKeepRule("("); err == nil {
		t.Error("a broken rule was accepted")
	}
}
