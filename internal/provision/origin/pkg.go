// Package origin finds the configs that come before those of a platform: the
// one that the kernel command line names, and those in the directories of the
// system.
//
//	ignition.config.url=URL          also flatcar.config.url and coreos.config.url
//	ignition.config.device=LABEL     with ignition.config.path=PATH: a file on a file system
//	DIR/user.ign                     the user's config
//	DIR/base.d/*                     below the user's, in the order of their names
//	DIR/base.platform.d/ID/*         below the user's, on that platform only
//
// The command line beats the directories, a higher directory a lower one: its
// file takes the place of one with the same name.
package origin
