"""The user environment: a conda environment that all users share, and conda itself."""
