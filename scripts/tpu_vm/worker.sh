#!/usr/bin/env bash
# Runs on the workers of a TPU VM, in the home folder, where setup.sh puts it:
#   worker.sh setup [SHARE]   l2l.tgz -> ~/l2l and its environment; data/ and runs/ lie in the share, if there is one
#   worker.sh run ID ARG...   `python -m l2l.main ARG...`; shows its log and exits with its code
#   worker.sh stop            asks the run to save and end, and waits for its end
# A run outlives the connection that began it; while it lives it holds l2l.lock. `run` joins one that is going on; the
# one with its ID it does not begin again but tells its code: gcloud asks once more when a connection breaks.
set -euo pipefail
GCSFUSE=3.11.1

running() { ! flock --nonblock l2l.lock true; }

unpack() {
    mkdir -p l2l
    if [[ -e l2l.unpacked.tgz ]]; then # what is gone from the working tree goes here too
        (cd l2l && tar --quoting-style=literal -tzf ../l2l.unpacked.tgz | grep -v '/$' | xargs -d '\n' rm -f --)
    fi
    tar -xzf l2l.tgz -C l2l
    mv l2l.tgz l2l.unpacked.tgz
}

environment() {
    python3 -m pip install --user --quiet uv
    [[ -x l2l/.venv/bin/python ]] || python3 -m uv venv --quiet --python 3.12 l2l/.venv
    python3 -m uv pip install --quiet --python l2l/.venv/bin/python -r l2l/requirements.txt 'jax[tpu]'
}

need_package() { # machines update themselves when they start: wait for that
    sudo apt-get -qq update
    sudo apt-get -qq -o DPkg::Lock::Timeout=600 install --yes "$1"
}

mount_nfs() {
    need_package nfs-common
    sudo mount -t nfs "$1" share
}

# Every worker must see at once what another one wrote: nothing is cached, and what is synced or closed is uploaded.
mount_bucket() {
    if ! command -v gcsfuse >/dev/null; then
        curl --fail --silent --show-error --location --output gcsfuse.deb \
            "https://github.com/GoogleCloudPlatform/gcsfuse/releases/download/v$GCSFUSE/gcsfuse_${GCSFUSE}_amd64.deb"
        need_package ./gcsfuse.deb
    fi
    gcsfuse --implicit-dirs --metadata-cache-ttl-secs=0 --enable-streaming-writes=false "$1" share
}

mount_share() {
    mkdir -p share
    if ! mountpoint --quiet share; then
        case $1 in
            gs://*) mount_bucket "${1#gs://}" ;;
            *) mount_nfs "$1" ;;
        esac
    fi
    local folder
    for folder in data runs; do
        mkdir -p "share/$folder" 2>/dev/null || sudo install --directory --mode=1777 "share/$folder"
        ln --symbolic --force --no-target-directory "$HOME/share/$folder" "l2l/$folder"
    done
}

setup() {
    if running; then
        echo "a run is going on: everything is left as it is"
        return
    fi
    unpack
    environment
    [[ -z ${1:-} ]] || mount_share "$1"
}

start() {
    exec 9>l2l.lock # the run inherits the lock
    if flock --nonblock 9 && [[ $1 != $(cat l2l.id 2>/dev/null) ]]; then
        rm -f l2l.exit l2l.stopped
        echo "$1" >l2l.id
        shift
        echo "=== $(date): l2l.main $*" >>l2l.log
        from=+$(wc -l <l2l.log)
        # The shell around the run must see its end: SIGTERM is for the run, the shell only takes note.
        # shellcheck disable=SC2016
        JAX_PLATFORMS=tpu,cpu setsid bash -c \
            'trap : TERM; cd l2l && .venv/bin/python -m l2l.main "$@"; echo "$?" >"$0"' \
            ~/l2l.exit "$@" >>l2l.log 2>&1 </dev/null & # no TPU is an error, not a slow run
        echo "$!" >l2l.pid
    fi
    exec 9>&-
}

follow() {
    flock l2l.lock true &
    tail --pid="$!" --sleep-interval=0.2 --lines="${from:-20}" --follow=name --retry l2l.log 2>/dev/null |
        sed -u "s/^/[${HOSTNAME##*-}] /" || true
    [[ ! -e l2l.stopped ]] || exit 130 # somebody's wish, no reason to start again
    # No code: the machine went down under the run, which goes on from its last save.
    exit "$(cat l2l.exit 2>/dev/null || echo 75)"
}

stop() {
    running || return 0
    touch l2l.stopped
    kill -TERM -- "-$(<l2l.pid)" || true
    flock l2l.lock true
}

main() {
    cd
    local verb=$1
    shift
    case $verb in
        setup) setup "$@" ;;
        run)
            start "$@"
            follow
            ;;
        stop) stop ;;
    esac
}

# Read whole before it begins: setup.sh may replace this file under a script that waits.
main "$@"
exit
