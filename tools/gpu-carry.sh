#!/bin/bash
# What a bare GPU machine without a network needs for tools/gpu-measure.sh, into FOLDER (about 8 MB).
# usage: gpu-carry.sh FOLDER [PYTHON VERSION there, default 3.12]
set -euo pipefail
folder=$(realpath -m "$1"); version=${2:-3.12}
mkdir -p "$folder"; venv=$(mktemp -d); trap 'rm -rf "$venv"' EXIT
"${PYTHON:-.venv/bin/python}" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

# pycuda is compiled there (a minute), against the CUDA and the NumPy that are there.
pip install setuptools wheel mako pytools numpy
pip download --no-deps --no-binary pycuda --no-build-isolation -d "$folder" pycuda==2026.1

platforms=(--platform manylinux2014_x86_64)
for glibc in 39 34 31 28 27 17; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
fetch() {
  pip download --no-deps --only-binary=:all: --python-version "$version" --implementation cp \
    "${platforms[@]}" -d "$folder" "$@"
}
# pydantic names the one core that it fits.
fetch pydantic
core=$(unzip -p "$folder"/pydantic-*.whl '*/METADATA' | sed -n 's/^Requires-Dist: pydantic-core==/==/p')
fetch "pydantic-core$core" annotated-types typing-extensions typing-inspection paho-mqtt \
  mako markupsafe platformdirs pytools siphash24 setuptools
fetch lapx==0.5.11 # a newer one is 4 MB
du -sh "$folder"
