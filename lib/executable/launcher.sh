#!/bin/sh
# datalad-slurm: this launcher, and behind it a JavaScript runtime and the program, which are
# unpacked once into a cache directory and run from there. What follows the text is binary.
# POSIX sh. Utilities are taken from the system's own directories (command -p), for PATH may hold
# git, git-annex and Slurm alone. Names begin with dls_, so that no variable which the caller has
# exported changes for the programs that are started later.

# Filled in by the build. Each file: name, first block and number of blocks of 64 KiB, cksum, bytes.
dls_files='@FILES@'
dls_runtime=@RUNTIME@
dls_loader=@LOADER@
dls_program=@PROGRAM@
# What stat says of the three: bytes and the time that is set when they are unpacked.
dls_expected='@EXPECTED@'
# What would change how the runtime works; the program restores it.
dls_variables='@VARIABLES@'

dls_hint='Set DATALAD_SLURM_CACHE_DIR to a directory on another file system'

dls_fail() {
    printf 'Error: %s\n' "$1" >&2
    if [ -n "${2-}" ]; then printf 'Hint: %s\n' "$2" >&2; fi
    exit 1
}

# Tells whether the files in directory $1 are as they were unpacked. This is all that an ordinary
# start costs: one stat.
dls_is_unpacked() {
    [ -x "$1/$dls_runtime" ] && [ -r "$1/$dls_program" ] && [ "$(
        command -p stat -L -c '%s %Y' "$1/$dls_runtime" "$1/$dls_loader" "$1/$dls_program" \
            2>/dev/null
    )" = "$dls_expected" ]
}

# Sets dls_cache, and dls_ready to "yes" when the files have been found there. Only a directory that
# the user names may belong to somebody else.
dls_choose_cache() {
    dls_ready=yes
    if [ -n "${DATALAD_SLURM_CACHE_DIR-}" ]; then
        case $DATALAD_SLURM_CACHE_DIR in
        /*) dls_cache=$DATALAD_SLURM_CACHE_DIR ;;
        *) dls_cache=$PWD/$DATALAD_SLURM_CACHE_DIR ;;
        esac
        dls_is_unpacked "$dls_cache" && return
        dls_ready=no
        dls_error=$(command -p mkdir -p "$dls_cache" 2>&1) && [ -w "$dls_cache" ] ||
            dls_fail "Cache directory \"$dls_cache\" cannot be written to${dls_error:+: $dls_error}" \
                'Set DATALAD_SLURM_CACHE_DIR to another directory'
        return
    fi
    case ${XDG_CACHE_HOME-} in
    /*) dls_cache=$XDG_CACHE_HOME/datalad-slurm ;;
    *) dls_cache=${HOME-}/.cache/datalad-slurm ;;
    esac
    case $dls_cache in
    /.cache/*) ;; # There is no home directory.
    /*)
        dls_is_unpacked "$dls_cache" && return
        dls_ready=no
        command -p mkdir -p "$dls_cache" 2>/dev/null && [ -w "$dls_cache" ] && return
        ;;
    esac
    dls_ready=no
    dls_cache=/tmp/datalad-slurm-$(command -p id -u)
    command -p mkdir -m 700 "$dls_cache" 2>/dev/null
    # Anybody may have made a directory of that name.
    if [ -L "$dls_cache" ] || [ ! -d "$dls_cache" ] || [ ! -O "$dls_cache" ]; then
        dls_fail "Cache directory \"$dls_cache\" does not belong to you" \
            'Set DATALAD_SLURM_CACHE_DIR to another directory'
    fi
}

# Unpacks into directory $1, in a subshell. One process at a time does the work and the others wait
# for it, but nothing depends on that: each file is written under a name of its own, verified, and
# moved to its place.
dls_unpack() (
    umask 022
    dls_lock=$1/unpacking
    dls_random=
    dls_host=localhost
    read -r dls_random </proc/sys/kernel/random/uuid
    read -r dls_host </proc/sys/kernel/hostname
    dls_mine=$dls_host:$$:$dls_random
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    dls_misses=0
    until dls_error=$(command -p mkdir "$dls_lock" 2>&1); do
        if [ -d "$dls_lock" ]; then
            dls_misses=0
            dls_wait_for_lock
        elif [ "$((dls_misses += 1))" -gt 20 ]; then
            dls_fail "Cache directory \"$1\" cannot be written to: $dls_error" "$dls_hint"
        fi
        dls_is_unpacked "$1" && exit 0
    done
    trap 'command -p rm -rf "$dls_lock"' EXIT

    if dls_is_unpacked "$1"; then exit 0; fi
    # Exit code 2: whoever took us for dead has removed the directory under our hands.
    dls_error=$(command -p mkdir "$dls_lock/$dls_mine" 2>&1) || {
        if [ ! -d "$dls_lock" ]; then trap - EXIT; exit 2; fi
        dls_fail "Cache directory \"$1\" cannot be written to: $dls_error" "$dls_hint"
    }
    printf '%s\n' "$dls_files" | while read -r dls_name dls_first dls_blocks dls_sum dls_size; do
        dls_unpack_file "$1/$dls_name" "$dls_lock/$dls_mine/$dls_name" || exit
    done || {
        dls_code=$?
        # It is somebody else's now.
        [ "$dls_code" != 2 ] || trap - EXIT
        exit "$dls_code"
    }
)

# Waits until the lock is gone, or removes it when its holder is: at once if that was a process of
# this machine, else after 30 s without progress.
dls_wait_for_lock() {
    dls_seen=
    dls_polls=0
    while [ -d "$dls_lock" ]; do
        if [ "$((dls_polls % 10))" = 0 ]; then
            dls_holder=$(command -p ls "$dls_lock" 2>/dev/null)
            dls_now=$(command -p ls -lR "$dls_lock" 2>/dev/null)
            case $dls_holder in
            "$dls_host":*:*)
                dls_pid=${dls_holder#*:}
                kill -0 "${dls_pid%%:*}" 2>/dev/null || dls_now=dead
                ;;
            esac
            if [ "$dls_now" != "$dls_seen" ]; then dls_polls=0; fi
            if [ "$dls_now" = dead ] || [ "$dls_polls" -ge 120 ]; then
                # By its own name first, for the lock may be another process's by now.
                [ -z "$dls_holder" ] || command -p rm -rf "${dls_lock:?}/$dls_holder"
                command -p rmdir "$dls_lock" 2>/dev/null
                return
            fi
            dls_seen=$dls_now
        fi
        dls_polls=$((dls_polls + 1))
        command -p sleep 0.25 2>/dev/null || command -p sleep 1
    done
}

# Writes one file to $2, verifies it and moves it to $1.
dls_unpack_file() {
    dls_error=$(command -p dd if="$dls_self" of="$2" bs=65536 skip="$dls_first" \
        count="$dls_blocks" 2>&1) &&
        # A block is filled up, and the runtime would read the filling at each start: cut it off.
        dls_error=$(command -p dd if=/dev/null of="$2" bs=1 seek="$dls_size" 2>&1) || {
        [ -d "$dls_lock/$dls_mine" ] || return 2
        dls_fail "Cannot unpack into cache directory \"${1%/*}\": $dls_error" "$dls_hint"
    }
    if [ "$(command -p cksum <"$2")" != "$dls_sum $dls_size" ]; then
        [ -f "$2" ] || return 2
        dls_fail "Executable \"$dls_self\" is damaged" 'Copy or build it again'
    fi
    command -p chmod 755 "$2" && TZ=UTC0 command -p touch -t 200109090146.40 "$2" || return 2
    if [ "$dls_name" = "$dls_runtime" ]; then
        [ -x "$2" ] || dls_fail \
            "Cache directory \"${1%/*}\" is on a file system that runs no programs (noexec)" \
            "$dls_hint"
        dls_error=$(DENO_DIR=/dev/null/deno "$2" --version 2>&1 >/dev/null) ||
            dls_fail "The runtime in cache directory \"${1%/*}\" does not run here: $dls_error" \
                "$dls_hint"
    fi
    command -p mv -f "$2" "$1" || return 2
}

# The name that the user called, and where it is.
case $0 in
/*) dls_self=$0 ;;
*) dls_self=$PWD/$0 ;;
esac

dls_choose_cache
dls_attempts=0
until [ "$dls_ready" = yes ] || dls_is_unpacked "$dls_cache"; do
    dls_attempts=$((dls_attempts + 1))
    if [ "$dls_attempts" -gt 5 ]; then
        dls_fail "Files in cache directory \"$dls_cache\" do not stay as they are" "$dls_hint"
    fi
    dls_unpack "$dls_cache" || { dls_code=$?; [ "$dls_code" = 2 ] || exit "$dls_code"; }
done

for dls_name in $dls_variables; do
    eval "dls_is_set=\${$dls_name+yes}"
    if [ -n "$dls_is_set" ]; then
        eval "export DATALAD_SLURM_LAUNCHER_SAVED_$dls_name=\"\$$dls_name\""
        unset "$dls_name"
    fi
done
# Not a directory: the runtime's own caches are SQLite files, which want no network file system, and
# the program needs none of them. On a terminal it would complain of that at every start.
export DENO_DIR=/dev/null/deno
export DENO_LOG='error,deno::cache=off'
export DENO_NO_UPDATE_CHECK=1
export DATALAD_SLURM_LAUNCHER_PATH="$dls_self"
exec "$dls_cache/$dls_runtime" run @FLAGS@ "$dls_cache/$dls_loader" "$@"
