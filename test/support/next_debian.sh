#!/bin/sh
# next_debian.sh FOLDER COMMAND…: runs a command of this checkout in Debian's next release, which is
# put into the folder the first time (by debootstrap, 1.3 GB, a few minutes). The command has process
# ids and mounts of its own: when it ends, whichever way, the kernel ends what it has started and
# takes its mounts away. Where this cannot be done it is said why, with exit code 77.
set -eu

release=trixie
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
packages=slurmctld,slurmd,slurmdbd,slurm-client,munge,mariadb-server,git,git-annex,procps

lacks() {
    echo "Debian's next release ($release) is not tried: $1" >&2
    exit 77
}

inside() {
    folder=$1
    checkout=$2
    shift 2
    mount --bind "$folder" "$folder"
    mount -t proc proc "$folder/proc"
    mount --rbind /sys "$folder/sys"
    mount --rbind /dev "$folder/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$folder/tmp"
    mkdir -p "$folder$checkout"
    mount --bind "$checkout" "$folder$checkout"
    cp /etc/hosts "$folder/etc/hosts"
    # Not replaced by the command: the first process of its kind has to wait for orphans.
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LANG=C.UTF-8 TMPDIR=/tmp ${DENO_DIR+"DENO_DIR=$DENO_DIR"} DENO_NO_UPDATE_CHECK=1 \
        ${STATE_TABLE+"STATE_TABLE=$STATE_TABLE"} \
        chroot "$folder" sh -c 'cd "$1" && shift && exec "$@"' sh "$checkout" "$@" &
    wait $!
}

if [ "$1" = --inside ]; then
    shift
    inside "$@"
    exit
fi

folder=$1
shift
[ "$(id -u)" = 0 ] || lacks "this needs root"
unshare --mount --pid --fork true 2>/dev/null || lacks "no mounts of one's own are allowed here"
if [ ! -d "$folder" ]; then
    command -v debootstrap >/dev/null || lacks "the package debootstrap is missing"
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    if ! debootstrap --variant=minbase --include="$packages" "$release" "$folder.new" "$mirror" \
        </dev/null >"$folder.log" 2>&1; then
        tail -n 5 "$folder.log" >&2
        lacks "debootstrap failed; its whole log is in $folder.log"
    fi
    rm -rf "$folder.new/var/cache/apt/archives"
    mv "$folder.new" "$folder"
fi
exec unshare --mount --pid --fork --kill-child --propagation private \
    "$0" --inside "$(realpath "$folder")" "$(pwd -P)" "$@"
