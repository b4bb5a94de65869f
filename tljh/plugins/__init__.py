"""Plugins of the hub environment: their hooks, and what they contribute to the machine."""
