"""Releases of tljh: where they come from, whether they are genuine, and unattended upgrades."""
