#!/bin/bash
# Measure the GPU path on this machine (an NVIDIA GPU, its driver, CUDA 12 or 13 with nvcc, a Python
# with NumPy, OpenCV, ONNX, ONNX Runtime, typer, psutil and pytest). Nothing is installed outside /tmp.
# usage: gpu-measure.sh WHEELS OUT [PART...]      WHEELS: of gpu-carry.sh      PART: all, if none is named
#   setup      compiles pycuda, once (90 to 110 s on an H200's machine)
#   times      latency, overlap, copies, kernel: wants the GPU for itself (95 s, 140 at most)
#   endurance  100,000 frames (90 s, 150 at most): wants it for itself, too, as it watches the GPU's memory
#   watched    compute-sanitizer's memcheck and initcheck (10 s, 150 at most)
#   tests      tests/gpu, with faults of the GPU under the whole daemon (40 s, 170 at most)
# The last two may run beside other work on the GPU. In OUT: gpu.md (each figure beside its limit),
# latency/latency.md, faults/gpu.md, and logs.
set -euo pipefail
wheels=$(realpath "$1"); out=$(realpath -m "$2"); root=$(cd "$(dirname "$0")/.." && pwd); shift 2
parts=${*:-setup times endurance watched tests}
cuda=${CUDA_HOME:-/usr/local/cuda}; python=${PYTHON:-python3}; site=${SPOTTERD_SITE:-/tmp/spotterd-site}
export PATH=$cuda/bin:$PATH PYTHONUNBUFFERED=1
mkdir -p "$out"

setup() {
  exec 9>"$site.lock"; flock 9 # another part may be at it
  [ -d "$site/pycuda" ] && return
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
}

measure() { "$python" tests/gpu/measure.py "$@"; }

# A part that runs out of time does not cost the others; what it has found by then is there.
times() { timeout 140 "$python" tests/gpu/measure.py --without faults endurance --out "$out" || true; }

endurance() { timeout 150 "$python" tests/gpu/measure.py --only endurance --out "$out/endurance" || true; }

# No access out of bounds, nothing read that was not written, nothing left allocated. Few frames and
# small kernels: the tools look at every access. What has to be compiled is compiled before.
# No backtraces: to name Python's functions the tools hold on to their frames, and so to each `self`
# whose end would free memory. With them every engine is "leaked", without them none is.
watched() {
  measure --only watched --small --out "$out/unwatched" || true
  look() { # TOOL MEASUREMENT OPTION...
    local tool=$1 name=$1-$2 leaks=; shift
    [ "$tool" = memcheck ] && leaks='--leak-check full'
    # shellcheck disable=SC2086
    timeout 150 compute-sanitizer --tool "$tool" $leaks --show-backtrace no --log-file "$out/$name.log" \
      "$python" tests/gpu/measure.py --out "$out/$name" --only "$@" >"$out/$name.out" 2>&1 || echo "$name: status $?"
  }
  look initcheck watched --small &
  look memcheck watched --small &
  look memcheck reopened --small & # eleven engines in one context
  look memcheck endurance --frames 50 &
  look initcheck planted --small &
  look memcheck planted --small &
  look memcheck one-fault --small &
  wait
  tail -n 3 "$out"/*check*.log || true
  found initcheck-planted 'Uninitialized __global__ memory read'
  found memcheck-planted 'LEAK SUMMARY: [0-9]+ bytes leaked in 1 allocations'
  found memcheck-one-fault 'Invalid __global__ write'
}

# "0 errors" counts only of a tool that finds what is planted.
found() { # LOG WORDS
  if grep -Eq "$2" "$out/$1.log"; then echo "$1: found"; else echo "$1: NOT FOUND, the tool is blind"; fi
}

tests() {
  measure --only faults --out "$out/faults" || true
  timeout 150 "$python" -m pytest -q -rPs -p no:cacheprovider tests/gpu >"$out/tests.log" 2>&1 || true
  grep -E '^(fault [0-9]|[0-9]+ (passed|failed)|FAILED|SKIPPED)' "$out/tests.log" || tail -n 5 "$out/tests.log"
}

{ date; nvidia-smi; nvcc --version; "$python" --version; } >"$out/machine-$(date +%H%M%S).txt" 2>&1 || true
( setup )
cd "$root"
export PYTHONPATH=$root/daemon:$root/tests:$site
for part in $parts; do
  [ "$part" = setup ] || "$part" 2>&1 | tee -a "$out/$part.log"
done
nvidia-smi >"$out/machine-$(date +%H%M%S)-end.txt" 2>&1 || true
