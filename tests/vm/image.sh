#!/bin/bash
# Builds the machine of `make vm-test`: Debian with its own kernel (vivid: virtual V4L2 cameras) and
# what the daemon imports. usage: image.sh DIR     about 5 minutes, 3 GB sparse; needs root
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
mkdir -p "$out"

# The initial ram disk holds only what finds the root disk and the shared folder: it boots faster.
modules='virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n9p\n9pnet_virtio\n'
mmdebstrap --quiet --variant=minbase \
    --include=systemd,systemd-sysv,udev,kmod,python3,v4l-utils,lz4,busybox,linux-image-amd64,initramfs-tools \
    --customize-hook='printf "MODULES=list\nCOMPRESS=lz4\n" >"$1/etc/initramfs-tools/conf.d/small"' \
    --customize-hook="printf '$modules' >\"\$1/etc/initramfs-tools/modules\"" \
    --customize-hook='chroot "$1" update-initramfs -u' \
    bookworm "$root"

install -D -m 644 "$here/share.mount" "$root/etc/systemd/system/share.mount"
install -D -m 644 "$here/job.service" "$root/etc/systemd/system/job.service"
mkdir -p "$root/share" "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../job.service "$root/etc/systemd/system/multi-user.target.wants/job.service"

# Wheels for the guest's Python, whatever the host's is; headless, since there is no display.
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
    --python-version 3.11 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
    --target "$root/opt/site" \
    'numpy<2.3' opencv-python-headless pydantic PyYAML lapx onnx onnxruntime paho-mqtt psutil rich typer

cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
cp "$root"/boot/initrd.img-* "$out/initrd.img"
truncate -s 3G "$out/disk.ext4.new"
mke2fs -q -F -t ext4 -d "$root" "$out/disk.ext4.new"
mv "$out/disk.ext4.new" "$out/disk.ext4"
