# shellcheck shell=bash
# Flags of every script here, or variables of the environment:
#   --name=NAME         TPU_NAME         the queued resource and its TPU VM
#   --zone=ZONE         TPU_ZONE         where it is, e.g. us-central2-b
#   --project=PROJECT   TPU_PROJECT      default: gcloud's own
#   --dry_run           TPU_DRY_RUN=1    print the gcloud commands instead of running them
#   --help
# gcloud must be installed and logged in. For more than one worker it wants its key in the agent: ssh-add
# ~/.ssh/google_compute_engine. TPU_POLL is the number of seconds between two looks at a state (30).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export TPU_POLL=${TPU_POLL:-30} TPU_SPOT=${TPU_SPOT:-0} TPU_DRY_RUN=${TPU_DRY_RUN:-0}
ARGS=()   # the words behind --
exec 3>&1 # dry runs print here, past $(...)

say() { echo "$(date +%H:%M:%S) $*" >&2; }

die() {
    echo "error: $*" >&2
    exit 1
}

dry_run() { [[ $TPU_DRY_RUN == 1 ]]; }

variable() { echo "TPU_$(tr '[:lower:]' '[:upper:]' <<<"$1")"; }

# The comments at the top of the script that was called, and of this file.
show_help() {
    local file
    for file in "$0" "$here/common.sh"; do
        awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$file"
        echo
    done
}

# parse "KEY ..." "$@": --KEY=VALUE becomes $TPU_KEY, --spot and --dry_run become 1, words behind -- become ARGS.
parse() {
    local known=" name zone project dry_run help $1 " key value
    shift
    while (($#)) && [[ $1 != -- ]]; do
        key=${1#--}
        key=${key%%=*}
        [[ $1 == --* && $known == *" $key "* ]] || die "unknown argument '$1'; see $0 --help"
        case $1 in
            --help) show_help && exit ;;
            --spot | --dry_run) value=1 ;;
            --*=?*) value=${1#*=} ;;
            *) die "--$key needs a value: --$key=VALUE" ;;
        esac
        export "$(variable "$key")=$value"
        shift
    done
    if (($#)); then
        shift
        # shellcheck disable=SC2034  # launch.sh reads them
        ARGS=("$@")
    fi
}

# need KEY ...: ends with a line for the first that has no value.
need() {
    local key name
    for key; do
        name=$(variable "$key")
        [[ -n ${!name:-} ]] || die "give --$key=VALUE or set $name; see $0 --help"
    done
    dry_run || command -v gcloud >/dev/null || die "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
}

# tpu WORD ...: gcloud compute tpus WORD ... in the zone and project.
tpu() {
    local line command=(gcloud compute tpus "$@" "--zone=$TPU_ZONE" ${TPU_PROJECT:+"--project=$TPU_PROJECT"})
    if dry_run; then
        printf -v line ' %q' "${command[@]}"
        echo "${line# }" >&3
    else
        "${command[@]}"
    fi
}

# describe COLLECTION FORMAT: what gcloud says of $TPU_NAME, or NONE.
describe() {
    local errors code=0
    errors=$(mktemp)
    tpu "$1" describe "$TPU_NAME" "--format=$2" 2>"$errors" || code=$?
    if ((code)) && [[ $(<"$errors") == *NOT_FOUND*"/$TPU_NAME'"* ]]; then
        echo NONE
        code=0
    fi
    ((code == 0)) || cat "$errors" >&2
    rm -f "$errors"
    return "$code"
}

look() {
    local queued node
    queued=$(describe queued-resources 'value(state.state)') || return
    if [[ $queued == ACTIVE ]]; then
        node=$(describe tpu-vm 'value(state)') || return
        [[ $node != PREEMPTED && $node != TERMINATED && $node != NONE ]] || queued=PREEMPTED
    fi
    echo "$queued"
}

# state: of the queued resource, as gcloud says it (ACTIVE, SUSPENDED, ...); NONE if there is none; PREEMPTED if it
# calls itself active while its machines are gone, as it may do. Empty in a dry run. Three tries: networks fail.
state() {
    look || { sleep "$TPU_POLL" && look; } || { sleep "$TPU_POLL" && look; }
}

# on_workers WORD ...: worker.sh WORD ... on every worker at once; exits with the first code that is not 0; 255: a
# connection broke and could not be made again, which is known after some minutes.
on_workers() {
    local line
    printf -v line ' %q' "$@"
    tpu tpu-vm ssh "$TPU_NAME" --worker=all --ssh-flag=-oConnectTimeout=15 --ssh-flag=-oServerAliveInterval=30 \
        --ssh-flag=-oServerAliveCountMax=4 "--command=bash worker.sh$line"
}

# pack FOLDER: what the workers get: the working tree, as git would commit it now, and worker.sh.
pack() {
    if dry_run; then
        echo "# $1/l2l.tgz: every file of $root that git does not ignore" >&3
        return
    fi
    local tree index=$1/index
    GIT_INDEX_FILE=$index git -C "$root" add --all ||
        die "$root is not a git checkout: the workers get what git does not ignore"
    tree=$(GIT_INDEX_FILE=$index git -C "$root" write-tree)
    git -C "$root" archive --format=tar.gz --output="$1/l2l.tgz" "$tree"
    cp "$here/worker.sh" "$1/worker.sh"
}
