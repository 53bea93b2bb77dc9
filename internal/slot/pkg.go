// Package slot is the state machine of the two /usr slots: which image boots
// next, how many starts it has left, whether it is known to be good, and what
// to do with an offered version.
//
// The state lies in file names on the EFI system partition, where systemd-boot
// keeps it (Boot Loader Specification, "Boot counting"): a unified kernel image
// "wellcar-1.2.3+2-1.efi" has two starts left and used one; without a counter
// it is good. An image with no starts left is the last that is started. Among
// the others the highest version is first. To put an older version first, the
// newer one is set to "+0-0": good, but last ("held back"); one that has not
// proved itself yet is set to "+0" instead, which systemd-boot reads alike, and
// is on trial again when its turn comes.
//
// Everything here is a function of values. A change of state is a list of
// renames and removals, to be done in order.
//
// The priorities, tries and successful bits that cgpt shows (surface.md 2.2)
// are a view of this state.
package slot
