#!/bin/sh
# Makes a Debian root with systemd, a broker and what the package depends on. usage: root.sh DIR
# Needs root and mmdebstrap; about three minutes and 500 MB, once.
set -eu
[ ! -e "$1" ] || exit 0
part=$1.part # one that was broken off is begun anew
rm -rf "$part"; mkdir -p "$part"
mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,udev,libpam-systemd,mosquitto,mosquitto-clients,python3-venv,python3-systemd,iproute2,procps,ca-certificates,libgl1,libglib2.0-0 \
    bookworm "$part"
echo '127.0.0.1 localhost' >"$part/etc/hosts"
mv "$part" "$1"
