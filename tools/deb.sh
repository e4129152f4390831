#!/bin/sh
# Makes dist/spotterd_VERSION_ARCH.deb.
#   deb.sh            small, for every architecture; Python packages are fetched when it is installed
#   deb.sh --vendor   with all Python packages for this machine's architecture and Python: installs
#                     without a network
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' daemon/spotterd/version.py)

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
put() { install -D -m "${3:-644}" "$1" "$tree/$2"; }

put systemd/spotterd.service usr/lib/systemd/system/spotterd.service
put systemd/spotterd.sysusers usr/lib/sysusers.d/spotterd.conf
put systemd/spotterd.tmpfiles usr/lib/tmpfiles.d/spotterd.conf
put systemd/spotterd.rules usr/lib/udev/rules.d/70-spotterd.rules
put systemd/spotterd.polkit usr/share/polkit-1/rules.d/49-spotterd.rules
put config.yaml etc/spotterd/config.yaml
put LICENSE usr/share/doc/spotterd/copyright
put README.md usr/share/doc/spotterd/README.md
[ ! -e docs/operations.md ] || put docs/operations.md usr/share/doc/spotterd/operations.md
mkdir -p "$tree/usr/bin" "$tree/usr/lib/spotterd/wheels"
ln -s /opt/spotterd/bin/spotterd "$tree/usr/bin/spotterd"

wheels=$tree/usr/lib/spotterd/wheels
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$wheels" .
if [ "${1:-}" = --vendor ]; then
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$wheels" \
        --only-binary=:all: --find-links "$wheels" 'spotterd[metrics,nvml,signed]'
    touch "$tree/usr/lib/spotterd/vendored"
    architecture=$(dpkg --print-architecture)
    depends=$("$python" -c 'import sys; a, b = sys.version_info[:2]
print(f"python3 (>= {a}.{b}), python3 (<< {a}.{b + 1})")')
    source="All Python packages are inside."
else
    architecture=all
    depends="python3 (>= 3.10)"
    source="Python packages are fetched when it is installed."
fi

mkdir -p "$tree/DEBIAN" dist
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@PYTHON@/$depends/" \
    -e "s/@SOURCE@/$source/" packaging/control.in >"$tree/DEBIAN/control"
echo /etc/spotterd/config.yaml >"$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do put "packaging/$script" "DEBIAN/$script" 755; done

# Not compressed: nearly all of it is wheels, which are.
deb=dist/spotterd_${version}_$architecture.deb
dpkg-deb -Znone --root-owner-group --build "$tree" "$deb" >/dev/null
echo "$deb ($(du -h "$deb" | cut -f1))"
