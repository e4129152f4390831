#!/bin/sh
# Sets up what `make` needs. usage: setup.sh venv demo|test   make .venv with that extra
#                                   setup.sh mosquitto        install the broker the tests talk to
#                                   setup.sh vm|systemd|arm64 what the test of that name runs in
set -eu

# Install Debian packages if that is possible without asking; else say the one line to type.
packages() {
    why=$1; shift
    run=""
    if [ "$(id -u)" = 0 ]; then run=env; elif sudo -n true 2>/dev/null; then run="sudo env"; fi
    if [ -n "$run" ] && command -v apt-get >/dev/null; then
        echo "setup: installing $* ($why)"
        { $run DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" ||
            { $run apt-get update -q && $run DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -q --no-install-recommends "$@"; }; } >/tmp/spotterd-apt.$$ 2>&1 && {
            rm -f /tmp/spotterd-apt.$$; return 0; }
        tail -n 5 /tmp/spotterd-apt.$$; rm -f /tmp/spotterd-apt.$$
    fi
    echo "setup: please type: sudo apt-get install -y $*    ($why)" >&2
    return 1
}

# Install the packages of those commands that are missing, for a test that works as root only.
need() {
    test=$1; shift
    [ "$(id -u)" = 0 ] || { echo "setup: please type: sudo make $test" >&2; exit 1; }
    missing=""
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    # shellcheck disable=SC2086  # a list
    [ -z "$missing" ] || packages "needed by $test" $missing
}

case ${1:-} in
venv)
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || { packages "Python itself" python3 python3-venv; python=python3; }
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
        echo "setup: spotterd needs Python 3.10 or newer, '$python' is $("$python" -V 2>&1); try: make PYTHON=python3.12 ..." >&2
        exit 1
    }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || packages "Python's venv module" python3-venv
    echo "setup: making .venv with spotterd[$2] (about a minute, once)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    quiet=--quiet
    [ ! -t 1 ] || quiet="" # people see what is fetched, logs only what goes wrong
    .venv/bin/python -m pip install $quiet --disable-pip-version-check --editable ".[$2]"
    # opencv-python's wheel wants these two of every desktop, which a server may lack.
    .venv/bin/python -c 'import cv2' 2>/dev/null || packages "needed by OpenCV" libgl1 libglib2.0-0
    .venv/bin/python -c 'import cv2, onnxruntime, spotterd'
    touch .venv/.demo
    [ "$2" != test ] || touch .venv/.test
    ;;
mosquitto)
    # Tests fall back to the demo's broker where this fails, and say so.
    PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null ||
        packages "the broker the tests talk to" mosquitto || true
    ;;
vm)
    need vm-test mmdebstrap:mmdebstrap qemu-system-x86_64:qemu-system-x86 mke2fs:e2fsprogs
    ;;
systemd)
    need systemd-test mmdebstrap:mmdebstrap systemd-nspawn:systemd-container nsenter:util-linux
    ;;
arm64)
    need arm64-test mmdebstrap:mmdebstrap qemu-aarch64-static:qemu-user-static \
        arch-test:arch-test unshare:util-linux
    ;;
*)
    echo "usage: setup.sh venv demo|test | mosquitto | vm | systemd | arm64" >&2
    exit 2
    ;;
esac
