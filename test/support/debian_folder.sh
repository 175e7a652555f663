# To be sourced: a Debian in a folder of its own, for programs that this machine's own does not have.
# Whoever sources it says in `what` what it is for.

# Says why it cannot be had. Exit code 77 tells make that nothing has failed.
lacks() {
    echo "$what is not tried: $1" >&2
    exit 77
}

# make_folder FOLDER RELEASE PACKAGES: puts it there the first time; needs root.
make_folder() {
    [ "$(id -u)" = 0 ] || lacks "this needs root"
    unshare --mount --pid --fork true 2>/dev/null || lacks "no mounts of one's own are allowed here"
    [ ! -d "$1" ] || return 0
    command -v debootstrap >/dev/null || lacks "the package debootstrap is missing"
    rm -rf "$1.new"
    mkdir -p "$1.new"
    if ! debootstrap --variant=minbase --include="$3" "$2" "$1.new" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" </dev/null >"$1.log" 2>&1; then
        tail -n 5 "$1.log" >&2
        lacks "debootstrap failed; its whole log is in $1.log"
    fi
    rm -rf "$1.new/var/cache/apt/archives"
    mv "$1.new" "$1"
}

# mount_folder FOLDER: as the root of programs. Called in namespaces of one's own, whose first process
# one is: it has to say which signals end it, and all else with it.
mount_folder() {
    trap 'exit 143' HUP INT TERM
    mount --bind "$1" "$1"
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
    cp /etc/hosts "$1/etc/hosts"
}

# apart FOLDER COMMAND…: goes on as `$0 --inside FOLDER COMMAND…`, with process ids and mounts of its
# own: when it ends, whichever way, the kernel ends what was started there and takes the mounts away.
apart() {
    folder=$(realpath "$1")
    shift
    exec unshare --mount --mount-proc --pid --fork --kill-child --propagation private \
        "$0" --inside "$folder" "$@"
}
