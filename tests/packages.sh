#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# packages.sh PACKAGE...: installs those Debian packages that are missing. Does nothing if none is missing.
#
# Some packages contain services (postfix, cron, prometheus). Those that are installed here neither start nor stay
# enabled. A service that was installed before is left as it is.
set -eu

installed() {
	dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u
}

disable() {
	if command -v systemctl >/dev/null; then
		systemctl --quiet disable "$2"
	else # without systemd, what the maintainer scripts use; it asks for the name of the package
		DPKG_MAINTSCRIPT_PACKAGE=$1 deb-systemd-helper disable "$2"
	fi >/dev/null 2>&1 || true
}

before=$(installed)
missing=$(printf '%s\n' "$@" | grep -vxF -e "$before" || true)
[ -n "$missing" ] || exit 0
missing=$(echo $missing)

if [ "$(id -u)" != 0 ]; then
	echo "packages are missing; run: sudo apt-get install --no-install-recommends $missing" >&2
	exit 1
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made=
cleanup() {
	[ -z "$made" ] || rm -f "$policy"
	rm -f "$log"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# Debian's maintainer scripts ask this file before they start a service; 101 forbids it.
if [ ! -e "$policy" ]; then
	made=1
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

echo "  INSTALL $missing"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log"
	echo "could not install $missing: see above" >&2
	exit 1
fi

# The maintainer scripts have enabled the services nevertheless.
for package in $(installed | grep -vxF -e "$before"); do
	case $package in
	systemd* | libpam-systemd | udev | dbus*) continue ;; # services of the system itself
	esac
	for path in $(dpkg -L "$package"); do
		name=${path##*/}
		case $path in
		*/systemd/system/*@.*) ;;
		*/systemd/system/*.service | */systemd/system/*.socket | */systemd/system/*.timer | */systemd/system/*.path)
			disable "$package" "$name" ;;
		/etc/init.d/*)
			update-rc.d "$name" disable >/dev/null 2>&1 || true ;;
		esac
	done
done
