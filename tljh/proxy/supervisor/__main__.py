"""The process of traefik.service: runs Traefik and hands over to a new one without a gap.

    python -I -m tljh.proxy.supervisor --traefik BIN --config DIR --runtime DIR
    python -I -m tljh.proxy.supervisor --runtime DIR --reload

It owns the listening sockets. A change of Traefik's static configuration needs a new process. A
reload starts a second Traefik on a second set of sockets, and steers new connections to it once it
routes requests (tljh/proxy/supervisor/sockets.py). The first Traefik finishes its open requests and
web sockets. If the second fails, the first keeps serving and the reload fails with the reason.
While a crashed Traefik is replaced, connections wait at its sockets. docs/supervisor.md has the
states. Standard library only; one thread, a few megabytes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import zlib
from pathlib import Path

from tljh.base.paths import Paths
from tljh.proxy.supervisor.interface import (
    KEEP_ALIVE_LIMIT_S,
)
from tljh.proxy.supervisor.reload_control import Control, ask_reload
from tljh.proxy.supervisor.sockets import (
    Listener,
    ListenerGroup,
    Unavailable,
    bind,
    connections_migrate,
)
from tljh.proxy.supervisor.traefik_process import Instance
from tljh.systemd.notify import forget_socket, notify, store_socket, take_sockets

TICK_S = 0.05


# Traefik reports ready some microseconds before the last entry point has its routes.
SETTLE_S = 0.05


# Traefik closes its copies of the sockets right after SIGTERM, and logs errors if the supervisor
# has closed them before. So the supervisor closes them this much later.
CLOSING_S = 0.2


FIRST_BACKOFF_S = 0.1


LONGEST_BACKOFF_S = 5.0


CRASHES_IN_A_ROW = 20


HEALTHY_AFTER_S = 10.0


# After this, connections that the old Traefik did not accept are dropped.
LONGEST_LEAVING_S = 300.0


# With more than this many, the oldest ends at once instead of waiting for idle clients.
MOST_LEAVING = 3


class Refused(Exception):
    """A configuration that Traefik cannot serve. A Traefik that serves already is not affected."""


class Configuration:
    """The files that one Traefik process starts with.

    They are read once: a restart after a crash must not pick up edits that no reload has tried.
    """

    def __init__(self, traefik: Path, directory: Path) -> None:
        paths = Paths(traefik_dir=directory)
        try:
            self.static = paths.traefik_static.read_text(encoding="utf-8")
            self.entry_points: dict[str, str] = json.loads(
                paths.traefik_entry_points.read_text(encoding="utf-8")
            )
        except (OSError, ValueError) as problem:
            raise Refused(f"cannot read the configuration: {problem}") from problem
        # Resolved, so that a new binary behind the same link is a change.
        self.traefik = str(traefik.resolve())

    @property
    def digest(self) -> str:
        """Return what changes with the binary, the entry points or the static file."""
        text = "\0".join((self.traefik, json.dumps(self.entry_points), self.static))
        return f"{zlib.crc32(text.encode()):08x}"


class Supervisor:
    """The Traefik processes and the steps between their phases; `run` is the event loop.

    Every new process is a candidate. It takes over from the serving instance, which is a running
    Traefik, a crashed one, or, at the start of the service, only sockets. Traefik accepts
    connections before it has its routes and then answers 404. So connections go to the old sockets
    until the candidate routes requests.

    `serving` is None only before the first start. At most one `candidate` exists at a time.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.number = 0
        self.configurations: dict[int, Configuration] = {}
        self.serving: Instance | None = None
        self.candidate: Instance | None = None
        self.leaving: list[Instance] = []
        self.draining: list[Instance] = []
        self.groups: dict[str, ListenerGroup] = {}
        self.is_reloading = False
        self.has_served = False
        self.crashes = 0
        self.last_error = ""
        self.is_reload_due = False
        self.is_stopping = False
        self.wakeup, writing = socket.socketpair()
        self.wakeup.setblocking(False)
        writing.setblocking(False)
        self.wakeup_writing = writing
        self.control = Control(options.runtime)

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self.wakeup_writing.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "is_reload_due", True))
        for stopping in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stopping, lambda *_: setattr(self, "is_stopping", True))

    def instances(self) -> list[Instance]:
        """Return all Traefik processes that run, whatever their phase."""
        instances = (self.serving, self.candidate, *self.leaving, *self.draining)
        return [instance for instance in instances if instance is not None]

    # The event loop

    def run(self) -> int:
        """Serve until SIGTERM. Return the exit code of the process."""
        self._catch_signals()
        try:
            self._start_first()
            while not self.is_stopping:
                self._wait()
                self._reap()
                self._advance()
        except (Refused, Unavailable) as problem:
            return self._give_up(str(problem))
        return self._stop()

    def _wait(self) -> None:
        """Wait for a signal, a reload request or output; at most a tick while a step is due."""
        is_settled = (
            self.serving is not None
            and self.serving.is_ready
            and self.candidate is None
            and not self.leaving
            and not self.is_reload_due
        )
        pipes = [instance.output for instance in self.instances() if instance.output is not None]
        watched: list[socket.socket | Control | int] = [self.wakeup, self.control, *pipes]
        ready, _, _ = select.select(watched, [], [], None if is_settled else TICK_S)
        if self.wakeup in ready:
            with contextlib.suppress(BlockingIOError):
                self.wakeup.recv(4096)
        if self.control in ready:
            self.control.accept()
            self.is_reload_due = True
        for instance in self.instances():
            instance.relay()

    def _reap(self) -> None:
        """Take note of every Traefik that has ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for instance in self.instances():
                    if instance.pid == pid:
                        self._ended(instance, os.waitstatus_to_exitcode(status))

    def _ended(self, instance: Instance, code: int) -> None:
        instance.relay()
        instance.pid = None
        instance.is_ready = False
        if instance.phase == "draining":
            self.draining.remove(instance)
        elif instance is self.candidate:
            self._drop_candidate(f"the new Traefik ended with {code}: {instance.reason()}")
        elif instance is self.serving:
            lasted_s = time.monotonic() - instance.started_at
            self._crashed(lasted_s, f"Traefik ended with {code}: {instance.reason()}")
        self._publish()

    def _crashed(self, lasted_s: float, reason: str) -> None:
        """Schedule the next start. Raises Refused after too many crashes in a row."""
        assert self.serving is not None
        self.crashes = 1 if lasted_s > HEALTHY_AFTER_S else self.crashes + 1
        if self.crashes > CRASHES_IN_A_ROW:
            raise Refused(reason)
        pause_s = min(FIRST_BACKOFF_S * 2 ** (self.crashes - 1), LONGEST_BACKOFF_S)
        self.serving.restart_at = time.monotonic() + pause_s
        self.last_error = reason
        log(f"{reason}; next start in {pause_s:g} s, connections wait")

    def _advance(self) -> None:
        """Take the steps that are due; one of crash and reload at a time, the crash first."""
        if self.candidate is not None:
            self._advance_candidate(self.candidate)
        for leaving in tuple(self.leaving):
            self._advance_leaving(leaving)
        if self.candidate is not None or self.serving is None:
            return
        restart_at = self.serving.restart_at
        if restart_at is not None and time.monotonic() >= restart_at:
            self.serving.restart_at = None
            self._replace_crashed(self.configurations[self.serving.number])
        elif self.is_reload_due:
            self._begin_reload()

    # The first Traefik, and the one after a crash

    def _start_first(self) -> None:
        """Listen, if possible on sockets from systemd's store, and start Traefik."""
        configuration = Configuration(self.options.traefik, self.options.config)
        stored = self._stored_listeners()
        listeners = {}
        for name, address in configuration.entry_points.items():
            listeners[name] = stored.pop(address) if address in stored else bind(address)
        for surplus in stored.values():
            self._close(surplus)
        for listener in listeners.values():
            self._group(listener).join(listener)
        self.configurations[self.number] = configuration
        self.serving = Instance(self.number, [], listeners, bind("127.0.0.1:0"))
        self.serving.enter("serving")
        self._replace_crashed(configuration)

    def _replace_crashed(self, configuration: Configuration) -> None:
        """Start a candidate in place of a serving instance that has no process."""
        assert self.serving is not None
        if connections_migrate():
            self.candidate = self._prepare(configuration)
        else:
            # Connections that wait at the old sockets cannot move to other sockets. So the new
            # Traefik gets the same sockets, and answers 404 in the milliseconds before it has its
            # routes.
            self.candidate = self._new_instance(configuration, self.serving.listeners)
        self.candidate.start()
        self._publish()

    def _stored_listeners(self) -> dict[str, Listener]:
        """Return the sockets that systemd kept over a restart, the newest of each address."""
        numbered: list[tuple[int, Listener]] = []
        for stored_as, sock in take_sockets():
            first, _, address = stored_as.partition("@")
            if first.isdigit():
                # systemd allows no colon in a stored socket's name.
                listener = Listener(address.replace("!", ":"), sock, stored_as)
                numbered.append((int(first), listener))
        newest: dict[str, Listener] = {}
        for number, listener in sorted(numbered, key=lambda entry: entry[0]):
            self.number = max(self.number, number)
            if listener.address in newest:
                self._close(newest[listener.address])
            newest[listener.address] = listener
        return newest

    # A reload, step by step

    def _begin_reload(self) -> None:
        """Start a candidate with the files as they are now, if they have changed."""
        self.is_reload_due = False
        self.control.begin()
        try:
            configuration = Configuration(self.options.traefik, self.options.config)
            assert self.serving is not None
            running = self.configurations[self.serving.number]
            if running.digest == configuration.digest:
                self.control.answer(self.serving.is_ready, "nothing changed")
                return
            self.candidate = self._prepare(configuration)
            self.is_reloading = True
        except (Refused, Unavailable) as problem:
            self._fail_reload(str(problem))
            return
        self.candidate.start()
        self._publish()

    def _prepare(self, configuration: Configuration) -> Instance:
        """Open a second set of sockets, which get no connection until `_switch`."""
        listeners: dict[str, Listener] = {}
        try:
            for name, address in configuration.entry_points.items():
                listeners[name] = bind(address)
        except Unavailable:
            for listener in listeners.values():
                listener.close()
            raise
        for listener in listeners.values():
            self._group(listener).join(listener)
        return self._new_instance(configuration, listeners)

    def _advance_candidate(self, candidate: Instance) -> None:
        if not candidate.is_ready:
            if candidate.answers():
                candidate.is_ready = True
                candidate.enter("starting")
            elif candidate.seconds_in_phase() > self.options.ready_timeout:
                candidate.kill(signal.SIGKILL)
                self._drop_candidate("the new Traefik was not ready in time")
        elif candidate.seconds_in_phase() > SETTLE_S:
            self._switch(candidate)

    def _switch(self, candidate: Instance) -> None:
        """Steer new connections to the candidate, which is the serving instance from then on."""
        assert self.serving is not None
        for listener in candidate.listeners.values():
            self._group(listener).steer_to(listener)
        old, self.serving, self.candidate = self.serving, candidate, None
        old.enter("leaving")
        self.leaving.append(old)
        candidate.enter("serving")
        self._store(candidate, old)
        self.last_error = ""
        self.is_reloading = False
        self._publish(*(() if self.has_served else ("READY=1",)))
        self.has_served = True
        self.control.answer(True, f"Traefik {candidate.number} serves")

    def _advance_leaving(self, leaving: Instance) -> None:
        """End an old Traefik once no client can send another request to it.

        Traefik closes a kept connection with the first answer after KEEP_ALIVE_S. Ending Traefik
        earlier would close connections on which a client may be sending a request just then.
        """
        if leaving.pid is not None and leaving.ending_since is None:
            waited_s = leaving.seconds_in_phase()
            if waited_s < self.options.linger:
                return
            self._close_surplus(leaving)
            is_crowded = len(self.leaving) > MOST_LEAVING and leaving is self.leaving[0]
            if waited_s < self.options.keep_alive and not is_crowded:
                return
            if self._has_waiting(leaving) and waited_s < LONGEST_LEAVING_S:
                return
            leaving.end()
        if leaving.pid is None or leaving.seconds_ending() >= CLOSING_S:
            self._retire(leaving)

    def _close_surplus(self, leaving: Instance) -> None:
        """Close sockets whose address the serving Traefik does not have.

        They then refuse connections at once. Until the old Traefik's end, clients would hang.
        """
        assert self.serving is not None
        kept = {listener.address for listener in self.serving.listeners.values()}
        for name, listener in tuple(leaving.listeners.items()):
            if listener.address not in kept:
                self._close(listener)
                del leaving.listeners[name]

    @staticmethod
    def _has_waiting(leaving: Instance) -> bool:
        return any(listener.waiting() for listener in leaving.listeners.values())

    def _retire(self, leaving: Instance) -> None:
        """Close an old Traefik's sockets; its process finishes what is open."""
        assert self.serving is not None
        for listener in leaving.listeners.values():
            if listener not in self.serving.listeners.values():
                self._close(listener)
        leaving.ready.close()
        self._static_path(leaving.number).unlink(missing_ok=True)
        self.leaving.remove(leaving)
        if leaving.pid is not None:
            leaving.enter("draining")
            self.draining.append(leaving)
        if len(self.draining) > self.options.max_draining:
            log(f"more than {self.options.max_draining} draining: the oldest is ended")
            self.draining[0].kill(signal.SIGKILL)
        self._publish()

    def _drop_candidate(self, reason: str) -> None:
        """Give up a candidate that failed; a Traefik that serves is not affected.

        Raises Refused if no Traefik has served since the start of the service.
        """
        candidate, serving = self.candidate, self.serving
        assert candidate is not None and serving is not None
        self.candidate = None
        for listener in candidate.listeners.values():
            if listener not in serving.listeners.values():
                self._close(listener)
        candidate.ready.close()
        self._static_path(candidate.number).unlink(missing_ok=True)
        if self.is_reloading:
            self._fail_reload(reason)
        elif not self.has_served:
            raise Refused(reason)
        if serving.pid is None:
            self._crashed(0.0, reason)

    def _fail_reload(self, reason: str) -> None:
        self.is_reloading = False
        self.last_error = reason
        log(f"reload refused, the running Traefik goes on: {reason}")
        self.control.answer(False, reason)
        self._publish()

    # Sockets and files

    def _new_instance(
        self, configuration: Configuration, listeners: dict[str, Listener]
    ) -> Instance:
        self.number += 1
        path = self._static_path(self.number)
        path.write_text(configuration.static, encoding="utf-8")
        ready = bind("127.0.0.1:0")
        ready.listen()
        self.configurations[self.number] = configuration
        argv = [configuration.traefik, f"--configFile={path}"]
        return Instance(self.number, argv, listeners, ready)

    def _static_path(self, number: int) -> Path:
        return Path(self.options.runtime / f"static-{number}.yaml")

    def _group(self, listener: Listener) -> ListenerGroup:
        return self.groups.setdefault(listener.address, ListenerGroup())

    def _store(self, instance: Instance, old: Instance) -> None:
        """Make systemd keep the sockets of `instance`, and no others."""
        for listener in instance.listeners.values():
            if listener.stored_as is None:
                name = f"{instance.number}@{listener.address.replace(':', '!')}"
                if store_socket(name, listener.sock):
                    listener.stored_as = name
        for listener in old.listeners.values():
            if listener not in instance.listeners.values():
                self._forget(listener)

    def _forget(self, listener: Listener) -> None:
        if listener.stored_as is not None:
            forget_socket(listener.stored_as)
            listener.stored_as = None

    def _close(self, listener: Listener) -> None:
        self._forget(listener)
        self._group(listener).leave(listener)

    def _publish(self, *lines: str) -> None:
        """Write the state file, and send systemd `lines` with a status text."""
        serving = self.serving
        state = {
            "serving": serving and serving.number,
            "configuration": serving and self.configurations[serving.number].digest,
            "pid": serving and serving.pid,
            "ready": bool(serving and serving.is_ready),
            "starting": self.candidate and self.candidate.pid,
            "draining": [
                instance.pid for instance in (*self.leaving, *self.draining) if instance.pid
            ],
            "last_error": self.last_error,
        }
        path = self.options.runtime / Paths.proxy_state.name
        new_file = path.with_suffix(".new")
        new_file.write_text(json.dumps(state) + "\n", encoding="utf-8")
        new_file.replace(path)
        pid = f"process {serving.pid}" if serving and serving.pid else "none, starting again"
        drains = len(state["draining"])  # type: ignore[arg-type]
        notify(*lines, f"STATUS=serving: {pid}; draining: {drains}")

    # The end

    def _stop(self) -> int:
        """End all Traefiks, with a grace time for open requests. systemd keeps the sockets."""
        notify("STOPPING=1")
        # Both those whose reload was in progress, and those that wait for the next one.
        self.control.answer(False, "the service is being stopped")
        self.control.begin()
        self.control.answer(False, "the service is being stopped")
        for instance in self.instances():
            instance.kill(signal.SIGTERM)
        deadline = time.monotonic() + self.options.stop_grace
        while any(instance.pid for instance in self.instances()):
            if time.monotonic() > deadline:
                for instance in self.instances():
                    instance.kill(signal.SIGKILL)
            select.select([self.wakeup], [], [], TICK_S)
            for instance in self.instances():
                instance.relay()
                if instance.pid and os.waitpid(instance.pid, os.WNOHANG)[0]:
                    instance.pid = None
        return 0

    def _give_up(self, reason: str) -> int:
        """End the service with a reason; systemd restarts it."""
        log(reason)
        notify(f"STATUS={reason}")
        for instance in self.instances():
            instance.kill(signal.SIGKILL)
        return 1


def log(message: str) -> None:
    print(f"traefik supervisor: {message}", file=sys.stderr, flush=True)


def option_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; its defaults are what the unit runs with."""
    parser = argparse.ArgumentParser(prog="tljh.proxy.supervisor", description=__doc__)
    parser.add_argument("--traefik", type=Path, help="the Traefik binary")
    parser.add_argument("--config", type=Path, help="directory of Traefik's files")
    parser.add_argument("--runtime", type=Path, required=True, help="for state and control socket")
    parser.add_argument("--reload", action="store_true", help="make the running one reload")
    parser.add_argument("--ready-timeout", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--linger", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--keep-alive", type=float, default=KEEP_ALIVE_LIMIT_S, metavar="SECONDS")
    parser.add_argument("--stop-grace", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--max-draining", type=int, default=8, metavar="NUMBER")
    return parser


def main() -> int:
    parser = option_parser()
    options = parser.parse_args()
    if options.reload:
        # A reload that is in progress ends before this one begins.
        timeout_s = 2 * options.ready_timeout + 5
        ok, message = ask_reload(options.runtime, timeout_s)
        log(message)
        return 0 if ok else 1
    if options.traefik is None or options.config is None:
        parser.error("--traefik and --config are needed")
    return Supervisor(options).run()


if __name__ == "__main__":
    sys.exit(main())
