# What an administrator should see first: the system, then what failed.
case $- in *i*) ;; *) return 0 ;; esac
[ -r /run/flatcar/motd ] && cat /run/flatcar/motd
failed=$(systemctl list-units --state=failed --no-legend --plain 2>/dev/null | cut -d' ' -f1)
if [ -n "$failed" ]; then
	printf '\033[31mFailed Units: %s\033[39m\n' "$(printf '%s\n' "$failed" | wc -l)"
	printf '  %s\n' $failed
fi
unset failed
