package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const cloudText = `#cloud-config
hostname: node1
write_files:
  - path: /etc/b
    permissions: 420
    owner: root
    content: hi
  - path: /etc/d
    owner: nobodyhere:nogrp
    content: x
coreos:
  etcd: {name: a}
  etcd2: {name: a}
  fleet: {metadata: a, public_ip: b}
  flannel: {interface: eth0}
  update: {reboot-strategy: "off"}
  units:
    - name: a.service
      enable: true
      content: |
        [Service]
        ExecStart=/usr/bin/true
        [Install]
        WantedBy=multi-user.target
`

// TestCloudPlan has the place, the hash and the mode as it will be set on
// every step, in the same order in each run.
func TestCloudPlan(t *testing.T) {
	want := ` 1  -:2:11   set the host name  node1
 2  -:4:5    write file         /etc/b                             0420 root, 2 bytes, sha256 8f434346
 3  -:8:5    write file         /etc/d                             0644 nobodyhere:nogrp, 1 byte, sha256 2d711642
 4  -:16:11  write file         /etc/flatcar/update.conf
 5  -:15:12  write file         /run/flannel/options.env           1 variable
 6  -:18:7   write unit         a.service                          71 bytes, sha256 817dc22d
 7  -:19:15  enable unit        a.service
 8  -:12:9   write drop-in      etcd.service.d/20-cloudinit.conf   1 variable
 9  -:13:10  write drop-in      etcd2.service.d/20-cloudinit.conf  1 variable
10  -:14:10  write drop-in      fleet.service.d/20-cloudinit.conf  2 variables
11  -:16:29  mask unit          locksmithd.service                 until the next boot
12  -:16:29  stop unit          locksmithd.service

coreos-cloudinit does this at every boot; Ignition does nothing
`
	for range 10 {
		code, out, errs := try(t.Context(), joins{}, cloudText, "plan", "-")
		if diff := cmp.Diff(want, out); code != exitOK || diff != "" {
			t.Fatal(code, diff)
		}
		if w := "-:9:12: warning: file /etc/d: there is no user nobodyhere in the image or under users"; !strings.Contains(errs, w) || strings.Contains(errs, "/etc/b") {
			t.Error(errs)
		}
	}
}

func TestCloudPlanAsJSON(t *testing.T) {
	_, out, _ := try(t.Context(), joins{}, "#cloud-config\nhostname: x\n", "plan", "--json", "-")
	var line struct {
		Cloudinit []struct {
			At struct{ Line, Column int }
		}
	}
	if err := json.Unmarshal([]byte(out), &line); err != nil || len(line.Cloudinit) != 1 || line.Cloudinit[0].At.Line != 2 {
		t.Error(err, out)
	}
}

// TestCloudUnits looks at units and drop-ins of a cloud-config, but not at
// those of networkd.
func TestCloudUnits(t *testing.T) {
	text := `#cloud-config
coreos:
  units:
    - name: 10-a.network
      content: "[Match]\nName=eth0\n"
    - name: a.service
      content: |
        [Service]
        ExecStart=/bin/true
        ExecStrt=x
    - name: docker.service
      drop-ins:
        - name: 1.conf
          content: "[Servic"
`
	code, _, errs := try(t.Context(), joins{}, text, "config", "-")
	want := `-:10:9: warning: unit a.service: ExecStrt is not known in section [Service], so it is ignored; write ExecStart
-:14:20: warning: drop-in 1.conf of unit docker.service: the section [Servic has no closing bracket; write [Section] lines and Name=value lines
-: nothing wrong was found; coreos-cloudinit reads it on the machine as it is
`
	if diff := cmp.Diff(want, errs); code != exitOK || diff != "" {
		t.Error(code, diff)
	}
	if code, _, _ := try(t.Context(), joins{}, text, "config", "--strict", "-"); code != exitFailed {
		t.Error("--strict takes it")
	}
}
