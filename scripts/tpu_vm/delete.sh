#!/usr/bin/env bash
# delete.sh --name=NAME --zone=ZONE
#
# Stops the run on a TPU VM, which saves it, and deletes the VM with its disks and its queued resource, in whatever
# state it is. What lies in the share of setup.sh stays.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

parse "" "$@"
need name zone
now=$(state)
if [[ $now == NONE ]]; then
    say "there is no $TPU_NAME in $TPU_ZONE"
    exit
fi
if [[ $now == ACTIVE ]] || dry_run; then
    "$here/stop.sh" || say "warning: no run was stopped; deleting nevertheless"
fi
tpu queued-resources delete "$TPU_NAME" --force --quiet
