#!/usr/bin/env bash
# stop.sh --name=NAME --zone=ZONE
#
# Stops the run on a TPU VM: it saves and ends, and launch.sh does not start it again. The VM stays.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

parse "" "$@"
need name zone
on_workers stop
