"""A JupyterHub spawner whose servers live in the hub's own process, for tests of the hub alone."""

import asyncio

from jupyterhub.spawner import Spawner
from tornado import httpserver, netutil, web


class LoneSpawner(Spawner):
    _listening = None

    @property
    def _is_outside(self):
        # outside-PORT: a server in another process, which survives a restart of the hub.
        return self.user.name.startswith("outside-")

    async def start(self):
        if self._is_outside:
            return "127.0.0.1", int(self.user.name.rpartition("-")[2])
        if self.user.name.startswith("slow"):
            await asyncio.sleep(3600)
        (socket,) = netutil.bind_sockets(0, "127.0.0.1")
        self._listening = httpserver.HTTPServer(web.Application([]))
        self._listening.add_sockets([socket])
        return "127.0.0.1", socket.getsockname()[1]

    async def stop(self, now=False):
        if self.user.name.startswith("endless"):
            await asyncio.sleep(3600)
        if self._listening is not None:
            self._listening.stop()
            self._listening = None

    async def poll(self):
        if self._is_outside:
            return None
        return 0 if self._listening is None else None
