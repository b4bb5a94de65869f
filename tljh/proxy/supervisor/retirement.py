"""How a replaced Traefik ends: it leaves its sockets, then drains its open connections."""

from __future__ import annotations

import argparse
import signal

from tljh.proxy.supervisor.owned_sockets import OwnedSockets
from tljh.proxy.supervisor.status import log
from tljh.proxy.supervisor.traefik_process import TraefikInstance

# Traefik closes its copies of the sockets right after SIGTERM, and logs errors if the supervisor
# has closed them before. So the supervisor closes them this much later.
CLOSING_S = 0.2


# After this, connections that the old Traefik did not accept are dropped.
LONGEST_LEAVING_S = 300.0


# With more than this many, the oldest ends at once instead of waiting for idle clients.
MOST_LEAVING = 3


class Retirement:
    """The Traefiks that no longer get new connections: first `leaving`, then `draining`."""

    def __init__(self, options: argparse.Namespace, sockets: OwnedSockets) -> None:
        self.options = options
        self.sockets = sockets
        self.leaving: list[TraefikInstance] = []
        self.draining: list[TraefikInstance] = []

    def add(self, replaced: TraefikInstance) -> None:
        """Take over a Traefik whose successor serves."""
        replaced.enter("leaving")
        self.leaving.append(replaced)

    def advance(self, serving: TraefikInstance) -> bool:
        """End replaced Traefiks as far as that is due; return whether one has left its sockets."""
        count = len(self.leaving)
        for leaving in tuple(self.leaving):
            self._advance(leaving, serving)
        return len(self.leaving) < count

    def _advance(self, leaving: TraefikInstance, serving: TraefikInstance) -> None:
        """End an old Traefik once no client can send another request to it.

        Traefik closes a kept connection with the first answer after KEEP_ALIVE_S. Ending Traefik
        earlier would close connections on which a client may be sending a request just then.
        """
        if leaving.pid is not None and leaving.ending_since is None:
            waited_s = leaving.seconds_in_phase()
            if waited_s < self.options.linger:
                return
            self._close_surplus(leaving, serving)
            is_crowded = len(self.leaving) > MOST_LEAVING and leaving is self.leaving[0]
            if waited_s < self.options.keep_alive and not is_crowded:
                return
            has_waiting = any(listener.waiting() for listener in leaving.listeners.values())
            if has_waiting and waited_s < LONGEST_LEAVING_S:
                return
            leaving.end()
        if leaving.pid is None or leaving.seconds_ending() >= CLOSING_S:
            self._retire(leaving, serving)

    def _close_surplus(self, leaving: TraefikInstance, serving: TraefikInstance) -> None:
        """Close sockets whose address the serving Traefik does not have.

        They then refuse connections at once. Until the old Traefik's end, clients would hang.
        """
        served = {listener.address for listener in serving.listeners.values()}
        for name, listener in tuple(leaving.listeners.items()):
            if listener.address not in served:
                self.sockets.close(listener)
                del leaving.listeners[name]

    def _retire(self, leaving: TraefikInstance, serving: TraefikInstance) -> None:
        """Close an old Traefik's sockets; its process finishes what is open."""
        # After a crash the successor may have the same sockets (`Handover._replace_crashed`).
        for listener in leaving.listeners.values():
            if listener not in serving.listeners.values():
                self.sockets.close(listener)
        leaving.discard()
        self.leaving.remove(leaving)
        if leaving.pid is not None:
            leaving.enter("draining")
            self.draining.append(leaving)
        if len(self.draining) > self.options.max_draining:
            log(f"more than {self.options.max_draining} draining: the oldest is ended")
            self.draining[0].kill(signal.SIGKILL)
