"""All listening sockets that the supervisor owns, and their copies in systemd's store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tljh.proxy.supervisor.sockets import AddressUnavailable, Listener, ListenerGroup, bind
from tljh.systemd.notify import forget_socket, store_socket, take_sockets


class OwnedSockets:
    """The sockets by address: each address has a group, which steers connections in it.

    systemd keeps the sockets of the Traefik that serves. So connections wait during a restart of
    the service instead of being refused.
    """

    def __init__(self) -> None:
        self._groups: dict[str, ListenerGroup] = {}

    def open(self, entry_points: Mapping[str, str]) -> dict[str, Listener]:
        """Open a socket for each entry point. New ones get no connection until `steer_to`.

        Raises AddressUnavailable and leaves nothing open if an address is taken.
        """
        listeners: dict[str, Listener] = {}
        try:
            for name, address in entry_points.items():
                listeners[name] = bind(address)
        except AddressUnavailable:
            for listener in listeners.values():
                listener.close()
            raise
        self._join(listeners.values())
        return listeners

    def open_first(self, entry_points: Mapping[str, str]) -> tuple[dict[str, Listener], int]:
        """Return a socket for each entry point, if possible from systemd's store.

        The number is the highest of the Traefiks whose sockets were stored; 0 if there are none.
        """
        stored, number = self._take_stored()
        listeners = {}
        for name, address in entry_points.items():
            listeners[name] = stored.pop(address) if address in stored else bind(address)
        for surplus in stored.values():
            self.close(surplus)
        self._join(listeners.values())
        return listeners, number

    def _take_stored(self) -> tuple[dict[str, Listener], int]:
        """Return the sockets that systemd kept over a restart, the newest of each address."""
        numbered: list[tuple[int, Listener]] = []
        for stored_as, sock in take_sockets():
            first, _, address = stored_as.partition("@")
            if first.isdigit():
                # systemd allows no colon in a stored socket's name.
                listener = Listener(address.replace("!", ":"), sock, stored_as)
                numbered.append((int(first), listener))
        newest: dict[str, Listener] = {}
        for _, listener in sorted(numbered, key=lambda entry: entry[0]):
            if listener.address in newest:
                self.close(newest[listener.address])
            newest[listener.address] = listener
        return newest, max((number for number, _ in numbered), default=0)

    def steer_to(self, listener: Listener) -> None:
        """Steer new connections to this socket of its address."""
        self._group(listener).steer_to(listener)

    def store(self, number: int, listeners: Mapping[str, Listener]) -> None:
        """Make systemd keep the sockets of the Traefik with this number."""
        for listener in listeners.values():
            if listener.stored_as is None:
                name = f"{number}@{listener.address.replace(':', '!')}"
                if store_socket(name, listener.sock):
                    listener.stored_as = name

    def forget(self, listener: Listener) -> None:
        """Make systemd close its copy of a socket."""
        if listener.stored_as is not None:
            forget_socket(listener.stored_as)
            listener.stored_as = None

    def close(self, listener: Listener) -> None:
        """Close a socket, and systemd's copy of it."""
        self.forget(listener)
        self._group(listener).leave(listener)

    def _join(self, listeners: Iterable[Listener]) -> None:
        for listener in listeners:
            self._group(listener).join(listener)

    def _group(self, listener: Listener) -> ListenerGroup:
        return self._groups.setdefault(listener.address, ListenerGroup())
