"""A JupyterHub for one machine that its owner can leave alone."""

__version__ = "0.1.0"
