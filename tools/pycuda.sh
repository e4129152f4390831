#!/bin/bash
# Build the true pycuda without a GPU, and two libcudas to load it with; about 3 minutes, once.
#   out/pycuda/wheel/            the wheel, for the Python of .venv (carry it to a GPU machine of that Python)
#   out/pycuda/site/             the wheel and what it imports, for PYTHONPATH
#   out/pycuda/{nodevice,host}/  libcuda.so.1: no device at all; a device in the host's memory
#   out/pycuda/stubs/            type stubs of TensorRT 10.13, to hold our stand-in against
#   out/pycuda/cubin/            the letterbox kernel, compiled by NVIDIA's compiler
# The CUDA headers come from NVIDIA's wheels. Needs gcc, g++ and nm.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD; out=$root/out/pycuda; version=2026.1; python=${PYTHON:-.venv/bin/python}
[ -e "$out/.done" ] && exit 0
rm -rf "$out"; mkdir -p "$out"/{build,wheel,site,nodevice,host}
log() { echo "pycuda: $*" >&2; }

log "fetching CUDA's headers and pycuda's source"
"$python" -m venv "$out/build/venv"
pip() { "$out/build/venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }
pip install setuptools wheel mako pytools numpy siphash24
pip install --no-deps nvidia-cuda-{runtime,nvcc,crt,cccl,profiler-api} nvidia-nvvm
pip download --no-deps --no-binary pycuda --no-build-isolation -d "$out/build" "pycuda==$version"
tar xf "$out/build/pycuda-$version.tar.gz" -C "$out/build"
cuda=$(echo "$out"/build/venv/lib/python3.*/site-packages/nvidia/cu1*)

pip download --no-deps -d "$out/build" tensorrt-stubs==10.13.0.35.1
"$python" -m zipfile -e "$out"/build/tensorrt_stubs*.whl "$out/stubs"

log "compiling (about two minutes)"
cd "$out/build/pycuda-$version"
mkdir stubs; gcc -shared -Wl,-soname,libcuda.so.1 -o stubs/libcuda.so -xc /dev/null
"$out/build/venv/bin/python" configure.py --cuda-root="$cuda" --no-cuda-enable-curand \
  --cudadrv-lib-dir="$PWD/stubs" >/dev/null
# Without --no-as-needed the linker drops the empty libcuda, and the wheel loads none.
LDFLAGS='-Wl,--no-as-needed -s' nice "$out/build/venv/bin/python" -m pip wheel --quiet \
  --disable-pip-version-check --no-deps --no-build-isolation -w "$out/wheel" . >"$out/build/log" 2>&1 ||
  { grep -m5 'error:' "$out/build/log"; exit 1; }
pip install --no-deps --target "$out/site" "$out"/wheel/*.whl mako markupsafe platformdirs pytools siphash24

log "compiling the letterbox kernel for Orin, H200 and Thor"
mkdir "$out/cubin"
for arch in sm_87 sm_90 sm_110; do
  PATH=$cuda/bin:$cuda/nvvm/bin:$PATH nvcc -I"$cuda/include" -Werror all-warnings --cubin -arch=$arch \
    -o "$out/cubin/letterbox-$arch.cubin" "$root/daemon/spotterd/inference/letterbox.cu"
done

log "making the two libcudas"
cd "$out/build"
needed() { nm -D --undefined-only "$out"/site/pycuda/_driver*.so | awk '$2 ~ /^cu/ {print $2}'; }
{
  needed | grep -v cuGetErrorString | sed 's/.*/int &(void) { return 100; }/'
  echo 'int cuGetErrorString(int e, const char **p) { *p = "no CUDA-capable device is detected"; return e - e; }'
} >nodevice.c
gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$out/nodevice/libcuda.so.1" nodevice.c
gcc -Wall -Wextra -O1 -fPIC -c -o host.o "$root/tests/gpu/host_libcuda.c"
defined=$(nm --defined-only host.o | awk '{print $3}')
needed | grep -vxF "$defined" | sed 's/.*/int &(void) { return 801; }/' >rest.c  # not supported
gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$out/host/libcuda.so.1" host.o rest.c -ldl
rm -rf "$out/build"
touch "$out/.done"
log "done: $(basename "$out"/wheel/*.whl)"
