#!/bin/sh
# Moves this machine from Flatcar or CoreOS Container Linux to Wellcar
# Container Linux @VERSION@. Its update_engine does the work; this script checks
# first whether the new system fits, and shows update_engine the new key and
# the new server.
#
#   sudo sh migrate.sh --check     say what is in the way; change nothing
#   sudo sh migrate.sh SERVER      check, then install into the slot that does
#                                  not run: http://HOST:PORT/v1/update/
#   sudo sh migrate.sh --undo      before the reboot: stay with the old system
#
# The old system starts by itself until the new one has proved itself. Tests
# set ROOT to a folder that stands for the machine.
set -eu

version='@VERSION@'
slot_bytes='@USR@'
kernel_bytes='@KERNEL@'
root=${ROOT:-}
work=$root/run/wellcar-migrate
faults=0

fault() {
	echo "migrate: $*" >&2
	faults=$((faults + 1))
}
note() { echo "migrate: note: $*"; }
size_of() { if [ -e "$1" ]; then stat -c %s "$1"; else echo 0; fi; }

# brand is flatcar or coreos.
brand=
for name in flatcar coreos; do
	if [ -z "$brand" ] && [ -f "$root/usr/share/$name/release" ]; then brand=$name; fi
done
conf=$root/etc/$brand/update.conf
release=$root/usr/share/$brand/release
key=$root/usr/share/update_engine/update-payload-key.pub.pem

check_system() {
	[ "$(id -u)" = 0 ] || fault "run it as root: sudo sh migrate.sh"
	[ "$(uname -m)" = x86_64 ] || fault "the release is for x86_64, this machine is $(uname -m)"
	[ -n "$brand" ] || fault "this is neither Flatcar nor CoreOS Container Linux: there is no /usr/share/flatcar/release"
	if grep -q '^VARIANT_ID=wellcar' "$root/etc/os-release" 2>/dev/null; then
		fault "this machine runs Wellcar Container Linux already"
	fi
	if [ -e "$root/usr/.noupdate" ]; then fault "this machine runs from memory (PXE or ISO): boot it with the new system instead"; fi
}

check_firmware() {
	if [ ! -d "$root/sys/firmware/efi" ]; then
		check_bios
		return
	fi
	vars=$root/sys/firmware/efi/efivars
	grep -Eq " /sys/firmware/efi/efivars efivarfs rw" "$root/proc/mounts" ||
		fault "the firmware's variables cannot be written: mount -o remount,rw /sys/firmware/efi/efivars"
	secure=$(od -An -t u1 -j 4 -N 1 "$vars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c" 2>/dev/null | tr -d ' ')
	if [ "$secure" = 1 ]; then fault "Secure Boot is on: switch it off in the firmware first"; fi
}

# A BIOS starts the boot code in sector 0, and that GRUB's core image at the
# beginning of BIOS-BOOT. The new one goes into its second half.
check_bios() {
	[ -n "$usr" ] || return 0
	bios=${usr%?}2
	about=$root/sys/class/block/${bios##*/}
	if ! grep -qs '^PARTNAME=BIOS-BOOT$' "$about/uevent"; then
		fault "the machine was started by BIOS, and $bios is no BIOS boot partition: install anew"
		return
	fi
	sector=$root$disk
	if [ -e "$saved" ]; then sector=$saved; fi
	at=$(od -An -t u8 -j 92 -N 8 "$sector" | tr -d ' ')
	if [ "$at" != "$(cat "$about/start")" ]; then
		fault "the machine was started by BIOS, and sector 0 of $disk does not start what is at the beginning of $bios: install anew"
		return
	fi
	core=$(($(od -An -t u2 -j 508 -N 2 "$root$bios") + 1))
	[ $((core * 2)) -le "$(cat "$about/size")" ] ||
		fault "the machine was started by BIOS, and GRUB's core image fills more than half of $bios: install anew"
}

# usr is the partition that runs, other the one to be written, saved the sector
# 0 of the old system on a disk that a BIOS starts.
usr='' other='' letter='' disk='' saved=$root/boot/wellcar/before.sector
find_slots() {
	usr=$(rootdev -s /usr)
	case $usr in
	*3) other=${usr%3}4 letter=b ;;
	*4) other=${usr%4}3 letter=a ;;
	*)
		fault "/usr lies on $usr, which is neither USR-A nor USR-B"
		usr=
		return
		;;
	esac
	case $usr in
	*[0-9]p[34]) disk=${usr%p?} ;;
	*) disk=${usr%?} ;;
	esac
}

check_slots() {
	[ -n "$usr" ] || return 0
	sectors=$(cat "$root/sys/class/block/${other##*/}/size" 2>/dev/null || echo 0)
	[ $((sectors * 512)) -ge "$slot_bytes" ] ||
		fault "$other has $((sectors / 2048)) MiB, the new system needs $((slot_bytes / 1048576))"
}

check_boot() {
	ls "$root/boot/" >/dev/null 2>&1 || : # wakes the automount
	device=$(awk '$2 == "/boot" && $3 == "vfat" { d = $1 } END { print d }' "$root/proc/mounts")
	[ -n "$usr" ] || return 0
	if [ "$device" != "${usr%?}1" ]; then
		fault "/boot is ${device:-not mounted}, not the EFI system partition ${usr%?}1"
		return
	fi
	kernels=$root/boot/flatcar
	if [ -e "$root/boot/coreos/vmlinuz-a" ] || [ -e "$root/boot/coreos/vmlinuz-b" ]; then kernels=$root/boot/coreos; fi
	# update_engine copies the old kernel before it writes the new one.
	need=$(size_of "$kernels/vmlinuz-$(echo $letter | tr ab ba)")
	[ "$need" -ge "$kernel_bytes" ] || need=$kernel_bytes
	loaders=$(cat "$root"/boot/EFI/[bB][oO][oO][tT]/* 2>/dev/null | wc -c)
	need=$((need + loaders + 2097152))
	free=$(($(df -Pk "$root/boot" | awk 'NR == 2 { print $4 }') * 1024))
	for name in "$kernels/vmlinuz-$letter" "$root"/boot/EFI/Linux/wellcar-*.efi; do free=$((free + $(size_of "$name"))); done
	[ "$free" -ge "$need" ] ||
		fault "/boot needs $((need / 1024)) KiB and has $((free / 1024)): delete files that you put there"
}

check_root() {
	kind=$(awk '$2 == "/" { t = $3 } END { print t }' "$root/proc/mounts")
	case $kind in
	ext4 | xfs | btrfs) ;;
	*) fault "the root file system is $kind; the new system starts from ext4, xfs and btrfs" ;;
	esac
}

check_engine() {
	status=$(update_engine_client -status 2>/dev/null | sed -n 's/^CURRENT_OP=//p')
	case $status in
	UPDATE_STATUS_IDLE) ;;
	UPDATE_STATUS_UPDATED_NEED_REBOOT) fault "an update waits for a reboot: reboot first, or update_engine_client -reset_status" ;;
	*) fault "update_engine is busy (${status:-it does not answer}): systemctl status update-engine" ;;
	esac
}

notes() {
	if grep -Evsq '^[[:space:]]*(#|$)' "$root/etc/flatcar/enabled-sysext.conf"; then
		note "extensions of /etc/flatcar/enabled-sysext.conf belong to the old system and stay away"
	fi
	[ -f "$root/sys/fs/cgroup/cgroup.controllers" ] || note "the machine uses cgroup v1; the new system has v2 only"
	if [ -e "$root/etc/torcx" ]; then note "torcx profiles have no effect in the new system"; fi
}

check() {
	check_system
	if [ -n "$brand" ]; then
		find_slots
		check_firmware
		check_slots
		check_boot
		check_root
		check_engine
		notes
	fi
	[ "$faults" = 0 ] || {
		echo "migrate: Wellcar $version does not fit: $faults reason(s) above; nothing was changed" >&2
		exit 1
	}
	echo "migrate: Wellcar $version fits"
}

lift() { umount "$1" 2>/dev/null || :; }

# over shows a file in the place of another, until the reboot.
over() {
	lift "$2"
	mount --bind "$1" "$2"
}

# old_boot_code takes back what an earlier try wrote into sector 0.
old_boot_code() {
	if [ -e "$saved" ] && [ -n "$disk" ]; then
		dd if="$saved" of="$root$disk" bs=440 count=1 conv=notrunc,fsync 2>/dev/null
		rm -rf "$root/boot/wellcar"
	fi
}

prepare() {
	old_boot_code
	rm -rf "$root"/boot/EFI/Linux/wellcar-*.efi "$root/boot/EFI/wellcar"
	mkdir -p "$work"
	chmod 700 "$work"
	cat >"$work/key.pem" <<-'END'
		@KEY@
	END
	over "$work/key.pem" "$key"
	lift "$release"
	sed -E 's/^((FLATCAR|COREOS)_RELEASE_VERSION)=.*/\1=0.0.0/' "$release" >"$work/release"
	over "$work/release" "$release"
	mkdir -p "$root/etc/$brand"
	touch "$conf"
	[ -e "$conf.before-wellcar" ] || cp -p "$conf" "$conf.before-wellcar"
	sed '/^[[:space:]]*SERVER=/d' "$conf.before-wellcar" >"$work/update.conf"
	echo "SERVER=$1" >>"$work/update.conf"
	cat "$work/update.conf" >"$conf"
	if [ $brand = coreos ]; then # the new system looks there
		mkdir -p "$root/etc/flatcar"
		cp "$conf" "$root/etc/flatcar/update.conf"
	fi
}

undo() {
	find_slots
	old_boot_code
	update_engine_client -reset_status >/dev/null 2>&1 || :
	lift "$key"
	lift "$release"
	if [ -e "$conf.before-wellcar" ]; then
		cat "$conf.before-wellcar" >"$conf"
		rm "$conf.before-wellcar"
		if [ $brand = coreos ]; then rm -f "$root/etc/flatcar/update.conf"; fi
	fi
	next=$root/sys/firmware/efi/efivars/BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c
	if [ -e "$next" ]; then
		chattr -i "$next" 2>/dev/null || :
		rm "$next"
	fi
	rm -rf "$root"/boot/EFI/Linux/wellcar-*.efi "$root/boot/EFI/wellcar" "$work" "$root/run/reboot-required"
	systemctl restart update-engine
	echo "migrate: the machine stays with the old system"
}

case ${1:-} in
--check) check ;;
--undo) undo ;;
http://* | https://*)
	check
	prepare "$1"
	systemctl restart update-engine
	update_engine_client -update || :
	if update_engine_client -status 2>/dev/null | grep -q UPDATED_NEED_REBOOT; then
		echo "migrate: Wellcar $version is installed and starts with the next reboot"
	else
		echo "migrate: it did not work out, the machine goes on as it is; journalctl -u update-engine tells why" >&2
		exit 1
	fi
	;;
*)
	echo "usage: migrate.sh --check | SERVER | --undo" >&2
	exit 2
	;;
esac
