#!/usr/bin/env bash
# launch.sh --name=NAME --zone=ZONE --type=TYPE [--spot] [--share=SHARE] \
#     -- --config=configs/STAGE.py:VARIANT [--config.KEY=VALUE ...]
#
# Runs one stage of l2l on every worker of a TPU VM, to its end: creates the VM if need be, sets it up, runs, and shows
# the log. A VM that was preempted is created anew, a run that saved and ended (exit code 75) is started again; l2l
# continues by itself. Any other error ends this script with the run's exit code.
# The run does not need this script: Ctrl-C, or a laptop that is closed, leaves it going, and the same command joins it;
# stop.sh stops it. New machines get the code that was here when this script began.
#
#   --type, --spot, --runtime            see create.sh
#   --share=SHARE       TPU_SHARE        see setup.sh; without it a preemption loses the run
#   --retries=N         TPU_RETRIES      restarts before it gives up (10)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

attempt() {
    if [[ -z $id ]]; then
        "$here/create.sh" || exit
        "$here/setup.sh" || return
        id=$(date +%s)-$RANDOM # a worker starts each once, however often it is asked
    fi
    on_workers run "$id" "${ARGS[@]}"
}

# again CODE: makes way for another attempt, or ends the script.
again() {
    local now
    sleep "$TPU_POLL" # a preemption shows some time after the connection broke
    now=$(state) || die "the state of $TPU_NAME cannot be seen; a run goes on, the same command joins it"
    case $now:$1 in
        ACTIVE:255) ;; # the connection broke, but the run goes on
        ACTIVE:75) id='' ;;
        ACTIVE:130) say "the run was stopped; the same command continues it" && exit "$1" ;;
        ACTIVE:*) say "error: the run ended with exit code $1; logs.sh shows the log of a worker" && exit "$1" ;;
        *) id='' ;; # preempted
    esac
    if ((left-- == 0)); then
        say "error: gave up after $TPU_RETRIES restarts; the last exit code was $1"
        exit "$1"
    fi
    say "exit code $1, $TPU_NAME is $now: trying again ($left left)"
}

main() {
    parse "type runtime spot share retries" "$@"
    need name zone type
    TPU_RETRIES=${TPU_RETRIES:-10}
    [[ $TPU_RETRIES =~ ^[0-9]+$ ]] || die "--retries=$TPU_RETRIES is not a number"
    ((${#ARGS[@]})) || die "say what to run: ... -- --config=configs/STAGE.py:VARIANT"
    [[ " ${ARGS[*]}" == *" --config.distributed="* ]] || ARGS+=(--config.distributed=auto)
    [[ -n ${TPU_SHARE:-} ]] || say "warning: without --share the run lies on the workers' own disks and goes with them"
    TPU_PACK=$(mktemp -d)
    export TPU_PACK
    trap 'rm -rf "$TPU_PACK"' EXIT
    trap 'say "left as it is: a run goes on, the same command joins it, stop.sh stops it"; exit 130' INT TERM
    pack "$TPU_PACK"
    local code id='' left=$TPU_RETRIES
    while true; do
        code=0
        attempt || code=$?
        ((code)) || break
        again "$code"
    done
    dry_run || say "the run is finished"
}

main "$@"
