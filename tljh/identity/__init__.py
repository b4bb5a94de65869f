"""Which machine this is: a copy gets its own secrets, or is recognized."""
