"""TLJH's name for the spawner; the code is in `tljh.hub.spawner`."""

from tljh.hub.spawner import UserCreatingSpawner

__all__ = ["UserCreatingSpawner"]
