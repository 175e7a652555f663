#!/bin/sh
# Installs, as root on Debian, what the tests want and the machine lacks, or with the word "demo" what
# the demo wants; elsewhere says what is missing and what is skipped because of it. Starts no service
# and never fails: the tests that can run shall run.

# Each line: a program or file that tells whether the package is there, the package, what it is for.
wanted='git git everything
git-annex git-annex datasets with an annex'
if [ "${1-}" != demo ]; then
    wanted="$wanted
datalad datalad comparisons with DataLad
sbatch slurm-client the Slurm cluster
slurmctld slurmctld the Slurm cluster
slurmd slurmd the Slurm cluster
slurmdbd slurmdbd the Slurm cluster
munged munge the Slurm cluster
mariadbd mariadb-server the Slurm cluster
faketime faketime clocks that differ
mkfs.btrfs btrfs-progs quotas
spin spin the model of the lock
cc gcc the model of the lock
/usr/include/stdio.h libc6-dev the model of the lock
debootstrap debootstrap make test-next
script bsdutils the output on terminals
tmux tmux the session on a terminal
man man-db reading the man pages
mandoc mandoc reading the man pages with another program
zsh zsh completions in zsh
fish fish completions in fish
/usr/share/bash-completion/bash_completion bash-completion completions in bash as they are loaded
tclsh tcl the modulefile"
fi

# The two module systems exclude each other. Whichever is there stays; Lmod is installed otherwise,
# and Environment Modules are unpacked beside the toolchain.
if [ "${1-}" != demo ] && [ ! -e /usr/share/modules/init/bash ]; then
    wanted="$wanted
/usr/share/lmod/lmod/init/bash lmod the modulefile in Lmod"
fi
unpacked=.toolchain/environment-modules

PATH=$PATH:/usr/sbin:/sbin

find_missing() {
    missing=
    reasons=
    while read -r program package reason; do
        case $program in
        /*) [ ! -e "$program" ] || continue ;;
        *) command -v "$program" >/dev/null && continue ;;
        esac
        missing="$missing $package"
        reasons="$reasons  $package: skips $reason
"
    done <<LIST
$wanted
LIST
}

install_missing() {
    # invoke-rc.d asks this program whether a service may be started; 101 forbids it.
    policy=/usr/sbin/policy-rc.d
    made_policy=
    if [ ! -e "$policy" ]; then
        made_policy=yes
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    echo "Installing Debian packages:$missing" >&2
    # shellcheck disable=SC2086 # a list of words
    install_them() {
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -qq \
            -o Dpkg::Use-Pty=0 $missing </dev/null >/dev/null
    }
    # The lists of packages may be old.
    install_them 2>/dev/null || { apt-get update -qq </dev/null >/dev/null && install_them; }
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
}

# Needs no root, but the lists of packages.
unpack_environment_modules() {
    mkdir -p "$unpacked.new" && (
        cd "$unpacked.new" && apt-get download --quiet environment-modules </dev/null &&
            dpkg-deb -x environment-modules_*.deb . && rm -f environment-modules_*.deb
    ) >/dev/null 2>&1 && mv "$unpacked.new" "$unpacked" && return
    rm -rf "$unpacked.new"
    echo "environment-modules cannot be fetched: skips the modulefile in Environment Modules" >&2
}

find_missing
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    install_missing
    find_missing
fi
if [ -n "$missing" ]; then
    echo "These packages are missing, and what they are for is skipped:" >&2
    printf '%s' "$reasons" >&2
    echo "As root on Debian: apt-get install --no-install-recommends$missing" >&2
fi
if [ "${1-}" != demo ] && [ ! -e "$unpacked" ] && [ ! -e /usr/share/modules/init/bash ] &&
    command -v apt-get >/dev/null; then
    unpack_environment_modules
fi
exit 0
