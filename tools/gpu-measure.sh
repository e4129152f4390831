#!/bin/bash
# Measure the GPU path on this machine (an NVIDIA GPU, its driver, CUDA 12 or 13 with nvcc, a Python
# with NumPy, OpenCV, ONNX and ONNX Runtime). Nothing is installed outside /tmp.
# usage: gpu-measure.sh WHEELS OUT       WHEELS: of gpu-carry.sh       at most 9 minutes
set -euo pipefail
wheels=$(realpath "$1"); out=$(realpath -m "$2"); root=$(cd "$(dirname "$0")/.." && pwd)
cuda=${CUDA_HOME:-/usr/local/cuda}; python=${PYTHON:-python3}; site=/tmp/spotterd-site
export PATH=$cuda/bin:$PATH PYTHONUNBUFFERED=1
mkdir -p "$out"
{ nvidia-smi; nvcc --version; "$python" --version; } | tee "$out/machine.txt"

if [ ! -d "$site/pycuda" ]; then
  pip() { "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" "$@"; }
  pip "$wheels"/*.whl
  mkdir -p /tmp/pycuda-src && tar xf "$wheels"/pycuda-*.tar.gz -C /tmp/pycuda-src --strip-components=1
  cd /tmp/pycuda-src
  rm -f siteconf.py
  PYTHONPATH=$site "$python" configure.py --cuda-root="$cuda" --no-cuda-enable-curand \
    --cudadrv-lib-dir="$cuda/lib64/stubs" >/dev/null
  # Without --no-as-needed libcuda can be dropped, and the module loads without a driver.
  LDFLAGS='-Wl,--no-as-needed' PYTHONPATH=$site "$python" -m pip install --quiet --no-index --no-deps \
    --no-build-isolation --target "$site" . >"$out/pycuda.log" 2>&1 || { tail -5 "$out/pycuda.log"; exit 1; }
fi

cd "$root"
export PYTHONPATH=$root/daemon:$root/tests:$site
# The limits leave 70 s for compiling pycuda; a part that runs out of time does not cost the others.
timeout 260 "$python" tests/gpu/measure.py --out "$out" 2>&1 | tee "$out/measure.log" || true
# The same way, watched: no access out of bounds, nothing read that was not written, nothing left
# allocated. Few frames: the tools look at every access, and initcheck is the slowest by far.
watched() {
  timeout 95 compute-sanitizer --tool "$1" --log-file "$out/sanitizer-$1.log" "${@:3}" "$python" \
    tests/gpu/measure.py --only endurance --frames "$2" --out "$out/sanitizer-$1" || true
  tail -n 3 "$out/sanitizer-$1.log" || true
}
watched memcheck 50 --leak-check full
watched initcheck 5
