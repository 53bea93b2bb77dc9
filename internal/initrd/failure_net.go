//go:build linux

package initrd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"wellcar.dev/internal/report"
	"wellcar.dev/internal/sys/kmsg"
)

// failedReport is where the report of this failed boot is for the programs
// that send and serve it.
const failedReport = "/run/wellcar/failed-report.json"

// Limits of telling others of a failure.
const (
	serveLimit = 3 * time.Second // until the page has an address
	sendLimit  = 20 * time.Second
)

// networkUp tells whether the kernel has a default route: then the network
// was needed, and is up.
func (b *boot) networkUp() bool {
	for line := range strings.Lines(b.fileText("/proc/net/route")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "00000000" {
			return true
		}
	}
	return false
}

// servePage starts the page that shows the report to those who have its
// token, and says where it is. The server ends with the machine.
func (b *boot) servePage(r report.Report) []string {
	if !b.networkUp() {
		return nil
	}
	if err := os.WriteFile(b.m.path(failedReport), r.JSON(), 0o600); err != nil {
		b.m.Log(kmsg.Warning, "the report is not served: %v", err)
		return nil
	}
	addresses := make(chan string, 4)
	go func() {
		_, _ = b.m.Run(context.Background(), func(line string) {
			select {
			case addresses <- line:
			default:
			}
		}, provisioner, "report", "--serve", "--last", failedReport, "--token", b.token())
		close(addresses)
	}()
	late := time.NewTimer(serveLimit)
	defer late.Stop()
	select {
	case a, ok := <-addresses:
		if ok && strings.HasPrefix(a, "http") {
			return []string{"The same, in a browser: " + a}
		}
	case <-late.C:
	}
	return nil
}

// token is a name that nobody guesses.
func (b *boot) token() string {
	g := b.m.GUID()
	return fmt.Sprintf("%x", g[:8])
}

// sendReport posts the report if the command line asks for it and there is a
// network; without one, the next boot that has one does.
func (b *boot) sendReport() {
	if b.opts.ReportURL == "" || !b.networkUp() {
		return
	}
	err := b.guarded("sending the report", sendLimit, func(ctx context.Context) error {
		return b.command(ctx, 0, provisioner, "report", "--send", "--url", b.opts.ReportURL, "--last", failedReport, "--record", "/run/wellcar/none")
	})
	if err != nil {
		b.m.Log(kmsg.Warning, "the report was not sent: %v", err)
	}
}
