"""TLJH's name for the spawner; the code is in `tljh.hub.process.spawner`."""

from __future__ import annotations

from tljh.hub.process.spawner import UserCreatingSpawner

__all__ = ["UserCreatingSpawner"]
