#!/usr/bin/env bash
# logs.sh --name=NAME --zone=ZONE
#
# Follows the log of the run on a TPU VM until Ctrl-C.
#
#   --worker=INDEX      TPU_WORKER       of which worker (0; the first one writes the progress), or all
#   --lines=N           TPU_LINES        how many earlier lines (100)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

parse "worker lines" "$@"
need name zone
[[ ${TPU_LINES:=100} =~ ^[0-9]+$ ]] || die "--lines=$TPU_LINES is not a number"
tpu tpu-vm ssh "$TPU_NAME" "--worker=${TPU_WORKER:-0}" "--command=tail --lines=$TPU_LINES --follow=name --retry l2l.log"
