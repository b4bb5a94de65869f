"""Debian packages that every hub needs. The bootstrap fetches them before their turn comes."""

from __future__ import annotations

# sudo: admins' terminals. git: nbgitpuller fetches with it. ca-certificates: https at all.
# nftables: what keeps people from each other's ports.
APT_PACKAGES = ("sudo", "git", "ca-certificates", "nftables")
