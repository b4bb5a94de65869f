"""Throwaway systemd machines for tests and for `make try`.

    from machine import Machine

    with Machine.boot() as machine:
        machine.run("systemctl is-system-running")

A machine is a podman or docker container with systemd as PID 1; docs/machines.md says
which tests of a VM it can replace. Standard library only.
"""

from machine.container import CommandFailed, Machine, Result
from machine.engine import CannotBoot

__all__ = ["CannotBoot", "CommandFailed", "Machine", "Result"]
