"""Part: Slurm's controller on this machine, which workers join."""
