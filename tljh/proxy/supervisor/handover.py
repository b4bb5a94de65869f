"""How a new Traefik takes over: at the start of the service, after a crash, and in a reload."""

from __future__ import annotations

import argparse
import signal
import time

from tljh.proxy.supervisor.configuration import Configuration, ConfigurationRefused
from tljh.proxy.supervisor.owned_sockets import OwnedSockets
from tljh.proxy.supervisor.reload_control import ReloadControl
from tljh.proxy.supervisor.retirement import Retirement
from tljh.proxy.supervisor.sockets import (
    AddressUnavailable,
    Listener,
    bind,
    connections_migrate,
)
from tljh.proxy.supervisor.status import ProxyState, log, publish_state
from tljh.proxy.supervisor.traefik_process import TraefikInstance

# Traefik reports ready some microseconds before the last entry point has its routes.
SETTLE_S = 0.05


FIRST_BACKOFF_S = 0.1


LONGEST_BACKOFF_S = 5.0


CRASHES_IN_A_ROW = 20


HEALTHY_AFTER_S = 10.0


class Handover:
    """The Traefik that serves, its successor, and the steps between their phases.

    Every new process is a candidate. It takes over from the serving instance, which is a running
    Traefik, a crashed one, or, at the start of the service, only sockets. Traefik accepts
    connections before it has its routes and then answers 404. So connections go to the old sockets
    until the candidate routes requests.

    `serving` is None only before `start`. At most one `candidate` exists at a time.
    """

    def __init__(self, options: argparse.Namespace, control: ReloadControl) -> None:
        self.options = options
        self.control = control
        self.sockets = OwnedSockets()
        self.retirement = Retirement(options, self.sockets)
        self.number = 0
        self.serving: TraefikInstance | None = None
        self.candidate: TraefikInstance | None = None
        self.is_reload_due = False
        self.is_reloading = False
        self.has_served = False
        self.crashes = 0
        self.last_error = ""

    def start(self) -> None:
        """Listen, if possible on sockets from systemd's store, and start the first Traefik.

        Raises ConfigurationRefused or AddressUnavailable.
        """
        self.configuration = Configuration(self.options.traefik, self.options.config)
        listeners, self.number = self.sockets.open_first(self.configuration.entry_points)
        self.serving = TraefikInstance(self.number, [], listeners, bind("127.0.0.1:0"))
        self.serving.enter("serving")
        self._replace_crashed()

    def instances(self) -> list[TraefikInstance]:
        """Return all Traefik processes that run, whatever their phase."""
        retired = (*self.retirement.leaving, *self.retirement.draining)
        instances = (self.serving, self.candidate, *retired)
        return [instance for instance in instances if instance is not None]

    def is_settled(self) -> bool:
        """Return whether no step is due before the next signal or request."""
        return (
            self.serving is not None
            and self.serving.is_ready
            and self.candidate is None
            and not self.retirement.leaving
            and not self.is_reload_due
        )

    def advance(self) -> None:
        """Take the steps that are due; one of crash and reload at a time, the crash first."""
        assert self.serving is not None
        if self.candidate is not None:
            self._advance_candidate(self.candidate)
        if self.retirement.advance(self.serving):
            self.publish()
        if self.candidate is not None:
            return
        restart_at = self.serving.restart_at
        if restart_at is not None and time.monotonic() >= restart_at:
            self.serving.restart_at = None
            self._replace_crashed()
        elif self.is_reload_due:
            self._begin_reload()

    def note_end(self, instance: TraefikInstance, code: int) -> None:
        """Take note that a Traefik has ended with this exit code."""
        instance.relay()
        instance.pid = None
        instance.is_ready = False
        if instance.phase == "draining":
            self.retirement.draining.remove(instance)
        elif instance is self.candidate:
            self._drop_candidate(f"the new Traefik ended with {code}: {instance.reason()}")
        elif instance is self.serving:
            lasted_s = time.monotonic() - instance.started_at
            self._schedule_start(lasted_s, f"Traefik ended with {code}: {instance.reason()}")
        self.publish()

    # A crash

    def _schedule_start(self, lasted_s: float, reason: str) -> None:
        """Schedule the next start. Raises ConfigurationRefused after too many crashes in a row."""
        assert self.serving is not None
        self.crashes = 1 if lasted_s > HEALTHY_AFTER_S else self.crashes + 1
        if self.crashes > CRASHES_IN_A_ROW:
            raise ConfigurationRefused(reason)
        pause_s = min(FIRST_BACKOFF_S * 2 ** (self.crashes - 1), LONGEST_BACKOFF_S)
        self.serving.restart_at = time.monotonic() + pause_s
        self.last_error = reason
        log(f"{reason}; next start in {pause_s:g} s, connections wait")

    def _replace_crashed(self) -> None:
        """Start a candidate in place of a serving instance whose process has ended."""
        assert self.serving is not None
        if connections_migrate():
            listeners = self.sockets.open(self.configuration.entry_points)
        else:
            # Connections that wait at the old sockets cannot move to other sockets. So the new
            # Traefik gets the same sockets, and answers 404 in the milliseconds before it has its
            # routes.
            listeners = self.serving.listeners
        self._start_candidate(self.configuration, listeners)

    # A reload

    def _begin_reload(self) -> None:
        """Start a candidate with the files as they are now, if they have changed."""
        self.is_reload_due = False
        self.control.begin()
        try:
            configuration = Configuration(self.options.traefik, self.options.config)
            assert self.serving is not None
            if self.configuration.digest == configuration.digest:
                self.control.answer(self.serving.is_ready, "nothing changed")
                return
            listeners = self.sockets.open(configuration.entry_points)
        except (ConfigurationRefused, AddressUnavailable) as problem:
            self._fail_reload(str(problem))
            return
        self.is_reloading = True
        self._start_candidate(configuration, listeners)

    def _fail_reload(self, reason: str) -> None:
        self.is_reloading = False
        self.last_error = reason
        log(f"reload refused, the running Traefik goes on: {reason}")
        self.control.answer(False, reason)
        self.publish()

    # The candidate

    def _start_candidate(
        self, configuration: Configuration, listeners: dict[str, Listener]
    ) -> None:
        self.number += 1
        static_file = self.options.runtime / f"static-{self.number}.yaml"
        static_file.write_text(configuration.static, encoding="utf-8")
        ready = bind("127.0.0.1:0")
        ready.listen()
        argv = [configuration.traefik, f"--configFile={static_file}"]
        self.candidate_configuration = configuration
        self.candidate = TraefikInstance(
            self.number, argv, listeners, ready, static_file=static_file
        )
        self.candidate.start()
        self.publish()

    def _advance_candidate(self, candidate: TraefikInstance) -> None:
        if not candidate.is_ready:
            if candidate.answers():
                candidate.is_ready = True
                candidate.enter("starting")
            elif candidate.seconds_in_phase() > self.options.ready_timeout:
                candidate.kill(signal.SIGKILL)
                self._drop_candidate("the new Traefik was not ready in time")
        elif candidate.seconds_in_phase() > SETTLE_S:
            self._switch(candidate)

    def _switch(self, candidate: TraefikInstance) -> None:
        """Steer new connections to the candidate, which is the serving instance from then on."""
        assert self.serving is not None
        for listener in candidate.listeners.values():
            self.sockets.steer_to(listener)
        replaced, self.serving, self.candidate = self.serving, candidate, None
        self.configuration = self.candidate_configuration
        self.retirement.add(replaced)
        candidate.enter("serving")
        self.sockets.store(candidate.number, candidate.listeners)
        for listener in replaced.listeners.values():
            if listener not in candidate.listeners.values():
                self.sockets.forget(listener)
        self.last_error = ""
        self.is_reloading = False
        self.publish(*(() if self.has_served else ("READY=1",)))
        self.has_served = True
        self.control.answer(True, f"Traefik {candidate.number} serves")

    def _drop_candidate(self, reason: str) -> None:
        """Give up a candidate that failed; a Traefik that serves is not affected.

        Raises ConfigurationRefused if no Traefik has served since the start of the service.
        """
        candidate, serving = self.candidate, self.serving
        assert candidate is not None and serving is not None
        self.candidate = None
        # In place of a crashed Traefik, the candidate may have had the same sockets.
        for listener in candidate.listeners.values():
            if listener not in serving.listeners.values():
                self.sockets.close(listener)
        candidate.discard()
        if self.is_reloading:
            self._fail_reload(reason)
        elif not self.has_served:
            raise ConfigurationRefused(reason)
        if serving.pid is None:
            self._schedule_start(0.0, reason)

    def publish(self, *lines: str) -> None:
        """Write the current state to state.json and systemd; `lines` go to systemd, too."""
        serving = self.serving
        retired = (*self.retirement.leaving, *self.retirement.draining)
        state = ProxyState(
            serving=serving.number if serving else None,
            configuration=self.configuration.digest if serving else None,
            pid=serving.pid if serving else None,
            ready=bool(serving and serving.is_ready),
            starting=self.candidate.pid if self.candidate else None,
            draining=[instance.pid for instance in retired if instance.pid],
            last_error=self.last_error,
        )
        publish_state(self.options.runtime, state, *lines)
