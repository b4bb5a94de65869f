"""Taking over a machine with The Littlest JupyterHub (TLJH) in place, and the way back."""
