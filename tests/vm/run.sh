#!/bin/bash
# Boots the machine of image.sh (software emulation: works everywhere), runs a job in it, shows what it
# says, and fails if the job did. Times are real: leave the machine two idle cores.
# usage: run.sh DIR JOB.py [ARGS]      DIR as given to image.sh
set -eu
out=$(realpath "$1")
job=$(realpath "$2")
shift 2
checkout=$(cd "$(dirname "$0")/../.." && pwd)
share=$out/share
rm -rf "$share"
mkdir -p "$share"
cp -r "$checkout/daemon" "$checkout/systemd" "$checkout/calibration" "$checkout/tests/tiny_models.py" \
    "$job" "$share"
cat >"$share/job.sh" <<JOB
cd /share
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/share/daemon:/opt/site timeout 1200 python3 -u $(basename "$job") $* >said 2>&1
echo \$? >rc
JOB
touch "$share/said"
tail -n +1 -f "$share/said" &
trap 'kill $! 2>/dev/null' EXIT
timeout 1300 qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -cpu max -m 2048 -smp 2 \
    -nographic -no-reboot -nic none -kernel "$out/vmlinuz" -initrd "$out/initrd.img" \
    -append "root=/dev/vda rw console=ttyS0 quiet mitigations=off nokaslr" \
    -drive "file=$out/disk.ext4,if=virtio,format=raw,cache=unsafe,snapshot=on" \
    -virtfs "local,path=$share,mount_tag=share,security_model=none" \
    -device virtio-rng-pci </dev/null >"$out/console.log" 2>&1
sleep 1 # for the last lines to be shown
[ "$(cat "$share/rc" 2>/dev/null)" = 0 ] || { echo "vm-test: failed; see $out/console.log" >&2; exit 1; }
