#!/bin/sh
# Installs, as root on Debian, what the tests and the demo want and the machine lacks; elsewhere says
# what is missing and what is skipped because of it. Starts no service and never fails: the tests
# that can run shall run.

# Each line: a program that tells whether the package is there, the package, what it is for.
wanted='git git everything
git-annex git-annex datasets with an annex
datalad datalad comparisons with DataLad
sbatch slurm-client the Slurm cluster
slurmctld slurmctld the Slurm cluster
slurmd slurmd the Slurm cluster
slurmdbd slurmdbd the Slurm cluster
munged munge the Slurm cluster
mariadbd mariadb-server the Slurm cluster'

PATH=$PATH:/usr/sbin:/sbin

find_missing() {
    missing=
    reasons=
    while read -r program package reason; do
        command -v "$program" >/dev/null && continue
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
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
        $missing </dev/null >&2 ||
        { apt-get update --quiet </dev/null >&2 &&
            DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet \
                --no-install-recommends $missing </dev/null >&2; }
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
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
exit 0
