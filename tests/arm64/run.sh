#!/bin/sh
# Installs spotterd in an emulated aarch64 Debian, as a Jetson would, and runs its demo there: every
# wheel that a board needs exists and works. usage: run.sh DIR SECONDS     root; 10 minutes, 1.5 GB, once
set -eu
dir=$1
seconds=$2
root=$dir/root
checkout=$(cd "$(dirname "$0")/../.." && pwd)
"$checkout/tools/setup.sh" arm64

# The kernel hands foreign programs to the emulator only where this is told; usually it is already.
binfmt=/proc/sys/fs/binfmt_misc
mountpoint -q $binfmt || mount -t binfmt_misc binfmt_misc $binfmt
[ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register

if [ ! -e "$root/whole" ]; then
    echo "arm64-test: making an aarch64 Debian (about 3 minutes, once)"
    rm -rf --one-file-system "$root"
    mkdir -p "$dir"
    mmdebstrap --quiet --arch=arm64 --variant=minbase \
        --include=python3-venv,ca-certificates,libgl1,libglib2.0-0 bookworm "$root"
    touch "$root/whole"
fi
# The network as it is set up here, certificates included.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

rm -rf "$root/wheels"
"${PYTHON:-python3}" -m pip wheel --quiet --disable-pip-version-check --no-deps \
    --wheel-dir "$root/wheels" "$checkout"
cat >"$root/job.sh" <<JOB
set -eu
export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_FIND_LINKS= PIP_DISABLE_PIP_VERSION_CHECK=1
uname -m
[ -x /opt/spotterd/bin/python ] || python3 -m venv /opt/spotterd
echo "arm64-test: installing (only wheels, nothing is compiled)"
/opt/spotterd/bin/pip install --quiet --only-binary=:all: --force-reinstall --no-deps /wheels/*.whl
/opt/spotterd/bin/pip install --quiet --only-binary=:all: 'spotterd[demo,metrics,nvml]'
cd /tmp
export XDG_STATE_HOME=/tmp/state
/opt/spotterd/bin/spotterd demo --seconds $seconds --source 'sim:?live=0&size=320x256'
JOB
# Emulated, loading the detector takes a minute and a frame many seconds: the demo needs its time, and a
# recording, of which no frame is dropped for being late.
# A mount namespace of its own: what is mounted in it is gone with it. Without /sys: it tells of the
# host's processors, and ONNX Runtime crashes where they are of another kind than the emulated one.
unshare --mount sh -euc '
    mount --bind /dev "$1/dev"
    mount -t proc proc "$1/proc"
    exec chroot "$1" /bin/sh /job.sh' sh "$root" | tee "$dir/said"
if grep "^Detections in " "$dir/said" | grep -qv none; then
    echo "arm64-test: passed"
else
    echo "arm64-test: FAILED; see $dir/said" >&2
    exit 1
fi
