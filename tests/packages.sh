#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# packages.sh PACKAGE...: installs those Debian packages that are missing. Does nothing if none is missing.
#
# Some packages contain services (postfix, cron, prometheus). Those that are installed here neither run nor stay
# enabled, also if the installation fails half-way. A service that was installed before is left as it is.
#
# What was installed is added to $record, one package a line; tests/test_packages.py looks at its services.
set -eu

record=${SMTPSNOOP_PACKAGES:-/var/lib/smtpsnoop-tests/packages}
policy=/usr/sbin/policy-rc.d

installed() {
	dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u
}

# Also those that are installed in part, whose files are there.
present() {
	dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null |
		sed -n 's/^\(installed\|unpacked\|half-configured\|triggers-[a-z]*\) //p' | sort -u
}

has_systemd() {
	[ -d /run/systemd/system ]
}

# A unit of a package: ended, if it runs, and not started again.
quiet_unit() {
	if has_systemd; then
		systemctl --quiet stop "$2" || true
	fi
	if command -v systemctl >/dev/null; then
		systemctl --quiet disable "$2" || true
	else # without systemd, what the maintainer scripts use; it asks for the name of the package
		DPKG_MAINTSCRIPT_PACKAGE=$1 deb-systemd-helper disable "$2" || true
	fi
}

quiet_script() {
	has_systemd || "/etc/init.d/$1" stop || true
	update-rc.d "$1" disable || true
}

# The maintainer scripts enable the services nevertheless; a policy-rc.d of the host may let them start.
quiet() {
	for package in $(present | grep -vxF -e "$before"); do
		mkdir -p "$(dirname "$record")"
		echo "$package" >>"$record"
		case $package in
		systemd* | libpam-systemd | udev | dbus*) continue ;; # services of the system itself
		esac
		for path in $(dpkg -L "$package"); do
			name=${path##*/}
			case $path in
			*/systemd/system/*@.*) ;;
			*/systemd/system/*.service | */systemd/system/*.socket | */systemd/system/*.timer | */systemd/system/*.path)
				quiet_unit "$package" "$name" >/dev/null 2>&1 ;;
			/etc/init.d/*)
				quiet_script "$name" >/dev/null 2>&1 ;;
			esac
		done
	done
}

before=$(present)
missing=$(printf '%s\n' "$@" | grep -vxF -e "$(installed)" || true)
[ -n "$missing" ] || exit 0
missing=$(echo $missing)

if [ "$(id -u)" != 0 ]; then
	echo "packages are missing; run: sudo apt-get install --no-install-recommends $missing" >&2
	exit 1
fi

log=$(mktemp)
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
good=1
{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >"$log" 2>&1 || good=
quiet
if [ -z "$good" ]; then
	tail -n 20 "$log"
	echo "could not install $missing: see above" >&2
	exit 1
fi
