#!/usr/bin/env bash
# create.sh --name=NAME --zone=ZONE --type=TYPE [--spot]
#
# Makes a TPU VM by way of a queued resource and waits until it is there, which may take days; the same command goes on
# waiting. One that is there is left alone, one that was preempted is made anew.
#
#   --type=TYPE         TPU_TYPE         accelerator, e.g. v5litepod-16, v4-32, v6e-8
#   --spot              TPU_SPOT=1       cheap, may be taken away at any time
#   --runtime=VERSION   TPU_RUNTIME      default: the one for JAX on that type
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

runtime() {
    case $TPU_TYPE in
        v6e-*) echo v2-alpha-tpuv6e ;;
        v5p-*) echo v2-alpha-tpuv5 ;;
        v5litepod-*) echo v2-alpha-tpuv5-lite ;;
        v[234]-*) echo tpu-ubuntu2204-base ;;
        *) die "no runtime is known for --type=$TPU_TYPE: give --runtime=VERSION" ;;
    esac
}

create() {
    local spot=()
    [[ $TPU_SPOT != 1 ]] || spot=(--spot)
    tpu queued-resources create "$TPU_NAME" "--node-id=$TPU_NAME" "--accelerator-type=$TPU_TYPE" \
        "--runtime-version=$TPU_RUNTIME" ${spot[@]+"${spot[@]}"}
}

main() {
    parse "type runtime spot" "$@"
    need name zone type
    TPU_RUNTIME=${TPU_RUNTIME:-$(runtime)}
    local now before=
    while true; do
        now=$(state)
        [[ $now == "$before" ]] || say "$TPU_NAME: $now"
        before=$now
        case $now in
            ACTIVE) return ;;
            NONE | "") create ;;
            SUSPENDED | PREEMPTED) tpu queued-resources delete "$TPU_NAME" --force --quiet ;;
            FAILED) die "$TPU_NAME failed: see gcloud compute tpus queued-resources describe; delete.sh removes it" ;;
        esac
        ! dry_run || return 0
        sleep "$TPU_POLL"
    done
}

main "$@"
