"""The supervisor's event loop: signals, reload requests, output and ends of processes."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import time

from tljh.base.well_known import AWAY_PAGE_PORT
from tljh.proxy.supervisor.away_page import AwayPage
from tljh.proxy.supervisor.configuration import ConfigurationRefused
from tljh.proxy.supervisor.handover import Handover
from tljh.proxy.supervisor.reload_control import ReloadControl
from tljh.proxy.supervisor.sockets import AddressUnavailable
from tljh.proxy.supervisor.status import log
from tljh.systemd.notify import notify

TICK_S = 0.05


class Supervisor:
    """The process of the service. A signal handler only sets a flag and wakes the loop."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.is_stopping = False
        self.wakeup, writing = socket.socketpair()
        self.wakeup.setblocking(False)
        writing.setblocking(False)
        self.wakeup_writing = writing
        self.control = ReloadControl(options.runtime)
        self.handover = Handover(options, self.control)
        self.away_page: AwayPage | None = None

    def run(self) -> int:
        """Serve until SIGTERM. Return the exit code of the process."""
        self._catch_signals()
        self._open_away_page()
        try:
            self.handover.start()
            while not self.is_stopping:
                self._wait()
                self._reap()
                self.handover.advance()
        except (ConfigurationRefused, AddressUnavailable) as problem:
            return self._give_up(str(problem))
        return self._stop()

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self.wakeup_writing.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: setattr(self.handover, "is_reload_due", True))
        for stopping in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stopping, lambda *_: setattr(self, "is_stopping", True))

    def _open_away_page(self) -> None:
        try:
            self.away_page = AwayPage(("127.0.0.1", AWAY_PAGE_PORT))
        except OSError as problem:
            # Traefik serves all the same: without the page, a hub that is away shows as 502.
            log(f"no page for a hub that is away, port {AWAY_PAGE_PORT}: {problem}")

    def _wait(self) -> None:
        """Wait for a signal, a reload request or output; at most a tick while a step is due."""
        instances = self.handover.instances()
        pipes = [instance.output for instance in instances if instance.output is not None]
        watched: list[socket.socket | ReloadControl | int] = [self.wakeup, self.control, *pipes]
        watched += self.away_page.sockets if self.away_page else ()
        timeout_s = None if self.handover.is_settled() else TICK_S
        readable, _, _ = select.select(watched, [], [], timeout_s)
        if self.away_page:
            self.away_page.serve(readable)
        # A signal writes to this socket pair (set_wakeup_fd). One that comes just before select
        # would be missed otherwise, and the loop would wait for the next event.
        if self.wakeup in readable:
            with contextlib.suppress(BlockingIOError):
                self.wakeup.recv(4096)
        if self.control in readable:
            self.control.accept()
            self.handover.is_reload_due = True
        for instance in instances:
            instance.relay()

    def _reap(self) -> None:
        """Take note of every Traefik that has ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for instance in self.handover.instances():
                    if instance.pid == pid:
                        self.handover.note_end(instance, os.waitstatus_to_exitcode(status))

    def _stop(self) -> int:
        """End all Traefiks, with a grace time for open requests. systemd keeps the sockets."""
        notify("STOPPING=1")
        # Both those whose reload was in progress, and those that wait for the next one.
        self.control.answer(False, "the service is being stopped")
        self.control.begin()
        self.control.answer(False, "the service is being stopped")
        instances = self.handover.instances()
        for instance in instances:
            instance.kill(signal.SIGTERM)
        deadline = time.monotonic() + self.options.stop_grace
        while any(instance.pid for instance in instances):
            if time.monotonic() > deadline:
                for instance in instances:
                    instance.kill(signal.SIGKILL)
            select.select([self.wakeup], [], [], TICK_S)
            for instance in instances:
                instance.relay()
                if instance.pid and os.waitpid(instance.pid, os.WNOHANG)[0]:
                    instance.pid = None
        return 0

    def _give_up(self, reason: str) -> int:
        """End the service with a reason; systemd restarts it."""
        log(reason)
        notify(f"STATUS={reason}")
        for instance in self.handover.instances():
            instance.kill(signal.SIGKILL)
        return 1
