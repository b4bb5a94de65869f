"""Files with which the chart of Zero to JupyterHub serves the same people on Kubernetes."""
