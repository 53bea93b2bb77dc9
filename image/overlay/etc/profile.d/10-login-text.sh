# What an administrator should see first: the system, who reboots it, what failed.
case $- in *i*) ;; *) return 0 ;; esac
[ -r /run/flatcar/motd ] && cat /run/flatcar/motd
# Whoever coordinates reboots holds the lock of this file.
if [ -r /run/update-engine/coordinator.conf ] && ! flock --nonblock --shared /run/update-engine/coordinator.conf true 2>/dev/null; then
	(. /run/update-engine/coordinator.conf && printf 'Update Strategy: \033[32m%s\033[39m (%s)\n' "$NAME" "$STATE")
else
	printf 'Update Strategy: \033[31mNo Reboots\033[39m\n'
fi
failed=$(systemctl list-units --state=failed --no-legend --plain 2>/dev/null | cut -d' ' -f1)
if [ -n "$failed" ]; then
	printf '\033[31mFailed Units: %s\033[39m\n' "$(printf '%s\n' "$failed" | wc -l)"
	printf '  %s\n' $failed
fi
unset failed
