#!/bin/bash
# Align a scan on all GPUs of several nodes.
#   sbatch --partition=PARTITION --account=ACCOUNT gpu_nodes.sh scan.zarr [more options of align]
#SBATCH --job-name=align
#SBATCH --nodes=4
#SBATCH --gres=gpu:4            # of each node
#SBATCH --cpus-per-task=32      # of each node
#SBATCH --mem=240G              # of each node
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
