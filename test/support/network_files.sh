#!/bin/sh
# network_files.sh FOLDER COMMAND…: runs a command with TMPDIR on a network file system that two
# nodes share. It is CephFS, all of it in userspace and in memory, of the Debian packages that are
# put into the folder the first time (0.6 GB, a few minutes). The command is at one node. OTHER_NODE
# holds the words that start a program at the other one, which has a mount (and so a cache) of its
# own at the same path, process ids and a host name of its own; OTHER_MOUNT those that change the
# mount alone. Where this cannot be done it is said why, with exit code 77.
set -eu

packages=python3-cffi-backend,ceph-mon,ceph-mgr,ceph-osd,ceph-mds,ceph-fuse,ceph-common
what="A network file system"
. "$(dirname "$0")/debian_folder.sh"

if [ "$1" != --inside ]; then
    [ -e /dev/fuse ] || lacks "there is no /dev/fuse"
    make_folder "$1" bookworm "$packages"
    apart "$@"
fi

folder=$2
shift 2
mount_folder "$folder"
mount -t tmpfs tmpfs "$folder/run"
mount -t tmpfs tmpfs "$folder/var/lib/ceph"
if ! chroot "$folder" sh -eux >"$folder.log" 2>&1 <<'CEPH'; then
mkdir -p /etc/ceph /run/ceph /mnt/a /mnt/b /mnt/here
cd /var/lib/ceph
mkdir -p mon/ceph-a mgr/ceph-a osd/ceph-0 mds/ceph-a
fsid=$(cat /proc/sys/kernel/random/uuid)
address='[v2:127.0.0.1:43300,v1:127.0.0.1:46789]'
# One copy of everything, in memory, and no questions about who one is. What two mounts contend for
# is often held up until the next tick of the metadata server (16.2): not for 5 s each time.
cat >/etc/ceph/ceph.conf <<CONF
[global]
fsid = $fsid
mon_host = $address
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mds_tick_interval = 0.1
mon_data_avail_crit = 1
mon_data_avail_warn = 2
CONF
monmaptool --create --fsid "$fsid" --addv a "$address" monmap
ceph-mon --mkfs --id a --monmap monmap
ceph-mon --id a
ceph-mgr --id a
uuid=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$uuid"
ceph-osd --mkfs --id 0 --osd-uuid "$uuid"
ceph-osd --id 0
ceph osd crush add osd.0 1.0 root=default host=here
ceph osd pool create metadata 8
ceph osd pool create data 8
ceph fs new files metadata data
ceph-mds --id a
tries=0
until ceph mds stat | grep -q up:active; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ]
    sleep 1
done
for node in a b; do
    ceph-fuse --pid_file="/run/ceph/fuse-$node.pid" \
        --admin_socket="/run/ceph/fuse-$node.asok" "/mnt/$node"
done
CEPH
    tail -n 5 "$folder.log" >&2
    lacks "CephFS does not start; the whole log is in $folder.log"
fi
here=$folder/mnt/here
mount --bind "$folder/mnt/a" "$here"
# hold WORDS…: what unshare makes lasts as long as a process in it, whose id is printed.
hold() {
    "$@" sh -c 'mount --bind "$1" "$2" && exec sleep infinity' sh "$folder/mnt/b" "$here" \
        >/dev/null 2>&1 &
    until pgrep --exact sleep --parent "$!" || is_sleep "$!"; do sleep 0.1; done
}
is_sleep() {
    [ "$(cat "/proc/$1/comm")" = sleep ] && echo "$1"
}
mount=$(hold unshare --mount)
node=$(hold unshare --mount --uts --pid --fork --mount-proc --kill-child)
nsenter --target="$node" --uts hostname other-node
chmod 1777 "$here"
TMPDIR=$here \
    OTHER_NODE="nsenter --target=$node --mount --uts --pid" \
    OTHER_MOUNT="nsenter --target=$mount --mount" \
    "$@" &
wait $!
