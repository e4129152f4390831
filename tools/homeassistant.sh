#!/bin/sh
# Installs Home Assistant (core and its MQTT integration, 300 MB) into an environment of its own, for
# `make homeassistant-test`. usage: homeassistant.sh DIR     needs Python 3.13; HA_PYTHON=... names it
set -eu
[ ! -e "$1/whole" ] || exit 0
python=${HA_PYTHON:-python3.13}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || {
    echo "homeassistant: it needs Python 3.13; name yours: make homeassistant-test HA_PYTHON=..." >&2
    exit 1
}
echo "homeassistant: installing it into $1 (about 5 minutes, once)"
venv=$1
"$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$1"; }
# The last release that Python 3.13.0 takes; device discovery came with 2024.11.
pip 'homeassistant==2025.3.4'
# What it would install at its first start, as its own manifests name it.
components=$("$1/bin/python" -c 'import homeassistant.components as c; print(c.__path__[0])')
for component in mqtt frontend; do
    for wanted in $("$1/bin/python" -c 'import json, sys
print(*json.load(open(sys.argv[1]))["requirements"])' "$components/$component/manifest.json"); do
        pip "$wanted"
    done
done
pip 'numpy<3'
touch "$venv/whole"
