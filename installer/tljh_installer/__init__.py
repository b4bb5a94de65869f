"""What bootstrap.py runs: standard library only, before there is any environment of ours."""
