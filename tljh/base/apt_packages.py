"""Debian packages that every hub needs.

The bootstrap downloads them in the background while it builds the hub environment.
"""

from __future__ import annotations

# sudo: admins' terminals. git: nbgitpuller. ca-certificates: every HTTPS request. nftables: keeps
# users from each other's ports.
APT_PACKAGES = ("sudo", "git", "ca-certificates", "nftables")
