#!/usr/bin/env bash
# setup.sh --name=NAME --zone=ZONE [--share=SHARE]
#
# Copies the working tree to every worker of a TPU VM (~/l2l: every file that git does not ignore) and makes its
# environment: Python 3.12, requirements.txt, jax[tpu]. May be repeated; workers on which a run is going on are left as
# they are.
#
#   --share=SHARE       TPU_SHARE        data/ and runs/ of the workers, a folder that outlives them and that all share:
#                                        HOST:/FOLDER (NFS, e.g. Filestore) or gs://BUCKET (with hierarchical namespace)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

main() {
    parse "share" "$@"
    need name zone
    [[ -z ${TPU_SHARE:-} || $TPU_SHARE == gs://?* || $TPU_SHARE == ?*:/* ]] ||
        die "--share=$TPU_SHARE is neither HOST:/FOLDER nor gs://BUCKET"
    if [[ -z ${TPU_PACK:-} ]]; then
        TPU_PACK=$(mktemp -d)
        trap 'rm -rf "$TPU_PACK"' EXIT
        pack "$TPU_PACK"
    fi
    tpu tpu-vm scp "$TPU_PACK/l2l.tgz" "$TPU_PACK/worker.sh" "$TPU_NAME:" --worker=all
    on_workers setup ${TPU_SHARE:+"$TPU_SHARE"}
}

main "$@"
