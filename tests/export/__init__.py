"""Tests of the export to the chart of Zero to JupyterHub."""
