//go:build linux

package initrd

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/kmsg"
)

// errRestart ends a boot that did all it was for: the next one has other words
// on the kernel command line.
var errRestart = errors.New("restarting with other words on the kernel command line")

// followSettings sees to it that the kernel is started with the words that the
// owner of the machine wrote on the OEM partition. It asks for a restart only
// when it has changed what the kernel gets, so never twice for the same words;
// a machine that cannot have them boots without.
func (b *boot) followSettings() error {
	if b.rootGrew && !b.first.Run { // the file system has to grow in the same boot
		return nil
	}
	if b.esp.Path == "" || !b.mountOEMAt(earlyOEM, unix.MS_RDONLY) {
		return nil
	}
	defer b.unmountEarlyOEM()
	settings := bootargs.Boot{ESP: b.m.path(espDir), OEM: b.m.path(earlyOEM),
		Stub: b.m.path(filepath.Join(usrDir, layout.AddOnStub)), Image: b.fileText(filepath.Join(usrDir, layout.KernelCmdline))}
	now, known, err := settings.Settings()
	if err == nil && (!known || now == b.addedWords) {
		return nil
	}
	changed := false
	if err == nil {
		err = b.changeESP(func(string) (err error) {
			changed, err = settings.Sync()
			return err
		})
	}
	if err != nil {
		b.m.Log(kmsg.Error, "the kernel is not started with the words of grub.cfg on the OEM partition: %v", err)
		return nil
	}
	if !changed || bootargs.Follows(b.fileText("/proc/cmdline"), b.addedWords, now) {
		return nil
	}
	return errRestart
}
