#!/bin/sh
# next_debian.sh FOLDER COMMAND…: runs a command of this checkout in Debian's next release, which is
# put into the folder the first time (1.3 GB, a few minutes). Where this cannot be done it is said
# why, with exit code 77.
set -eu

release=trixie
packages=slurmctld,slurmd,slurmdbd,slurm-client,munge,mariadb-server,git,git-annex,procps,python3
what="Debian's next release ($release)"
. "$(dirname "$0")/debian_folder.sh"

if [ "$1" != --inside ]; then
    make_folder "$1" "$release" "$packages"
    apart "$@"
fi

folder=$2
shift 2
checkout=$(pwd -P)
mount_folder "$folder"
mkdir -p "$folder$checkout"
mount --bind "$checkout" "$folder$checkout"
# Not replaced by the command: the first process of its kind has to wait for orphans.
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LANG=C.UTF-8 TMPDIR=/tmp ${DENO_DIR+"DENO_DIR=$DENO_DIR"} DENO_NO_UPDATE_CHECK=1 \
    ${STATE_TABLE+"STATE_TABLE=$STATE_TABLE"} \
    chroot "$folder" sh -c 'cd "$1" && shift && exec "$@"' sh "$checkout" "$@" &
wait $!
