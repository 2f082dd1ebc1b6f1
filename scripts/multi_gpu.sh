#!/usr/bin/env bash
# multi_gpu.sh [--gpus=0,1] [--batch=N] [--dry_run] -- --config=configs/STAGE.py:VARIANT [--config.KEY=VALUE ...]
#
# Runs one stage of l2l on several GPUs of this machine, in one process: batches are split over them (config.mesh).
#   --gpus=LIST    which GPUs (all)
#   --batch=N      examples per GPU; sets data.batch to that many times their number (the config's data.batch, over all)
#   --dry_run      print the command instead of running it
# Exit code 75: stopped and saved (Ctrl-C, SIGTERM); the same command continues.
set -euo pipefail

die() {
    echo "error: $*" >&2
    exit 1
}

gpus='' batch='' run=(exec)
while (($#)) && [[ $1 != -- ]]; do
    case $1 in
        --gpus=?*) gpus=${1#*=} ;;
        --batch=?*) batch=${1#*=} ;;
        --dry_run) run=(printf '%q ') ;;
        --help)
            awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
            exit
            ;;
        *) die "unknown argument '$1'; see $0 --help" ;;
    esac
    shift
done
(($# > 1)) || die "say what to run: ... -- --config=configs/STAGE.py:VARIANT"
shift

cd "$(dirname "$0")/.."
[[ -n $gpus ]] || gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader | paste -sd, -) || die "no GPU was found"
[[ $gpus =~ ^[0-9]+(,[0-9]+)*$ ]] || die "--gpus=$gpus is no list of numbers, as in 0,1"
if [[ -n $batch ]]; then
    [[ $batch =~ ^[1-9][0-9]*$ ]] || die "--batch=$batch is not a number"
    count=$(tr , '\n' <<<"$gpus" | wc -l)
    set -- "$@" "--config.data.batch=$((batch * count))"
fi
"${run[@]}" env "CUDA_VISIBLE_DEVICES=$gpus" .venv/bin/python -m l2l.main "$@"
