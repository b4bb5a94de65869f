"""Encrypted backups by restic: the repository, the timer, and what a restore brings back."""

from __future__ import annotations
