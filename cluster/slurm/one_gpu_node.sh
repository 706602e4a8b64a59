#!/bin/bash
# Align a scan on the GPUs of one node.
#   sbatch --partition=PARTITION --account=ACCOUNT one_gpu_node.sh scan.zarr [more options of align]
#SBATCH --job-name=align
#SBATCH --nodes=1
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=32
#SBATCH --mem=240G
#SBATCH --ntasks-per-node=1
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue               # goes on from its checkpoint where a node fails ...
#SBATCH --signal=B:USR1@300     # ... and where time runs out: five minutes before

# Make mumott-dask known here: module load ..., source .../bin/activate

trap 'scontrol requeue "$SLURM_JOB_ID"; wait' USR1  # until SLURM has ended the driver as well
mumott-dask align --backend gpu --allocation --quiet "$@" &
wait $!
