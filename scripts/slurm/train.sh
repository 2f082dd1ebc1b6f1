#!/usr/bin/env bash
# sbatch [--nodes=N ...] scripts/slurm/train.sh --config=configs/STAGE.py:VARIANT [--config.KEY=VALUE ...]
#
# Runs one stage of l2l on the GPUs of several nodes. Submit it in the repository's folder, which all nodes must see,
# with jax[cuda12] in its .venv. Flags of sbatch come before the script, those of l2l after it.
# Under Slurm JAX wants one process per GPU, each seeing all of its node: --ntasks-per-node is the number of GPUs there.
# The processes share the streams that a batch is read in: 32, or as many as a power of two that divides data.batch.
# Before the time is up, and at a preemption, the run saves and ends with exit code 75; the job is then queued again, at
# most L2L_RETRIES times (10), and goes on by itself. Any other error ends the job.
#
#SBATCH --job-name=l2l
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@180
#SBATCH --requeue
set -euo pipefail
STOPPED=75

if [[ ${1:---help} == --help ]]; then
    awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
    exit
fi
cd "${SLURM_SUBMIT_DIR:-.}" # Slurm runs a copy of this file that lies elsewhere
if [[ ! -x .venv/bin/python ]]; then
    echo "error: there is no $PWD/.venv/bin/python: submit in the repository's folder; make test makes .venv" >&2
    exit 1
fi

code=0
# A process that fails ends the others, but not at once: they may be saving.
srun --kill-on-bad-exit=0 --wait=120 .venv/bin/python -m l2l.main "$@" --config.distributed=auto || code=$?
if ((code == STOPPED && ${SLURM_RESTART_COUNT:-0} < ${L2L_RETRIES:-10})); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
