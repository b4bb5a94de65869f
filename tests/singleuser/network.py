"""A machine's network and a network outside it, as namespaces of this computer's kernel."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

MACHINE, MACHINE_V6 = "10.9.0.1", "fd01::1"

# Two addresses of one home network, and one of another.
VISITORS_V6 = ("fd01::2", "fd01::3", "fd01:0:0:1::2")

VISITORS = ("10.9.0.2", "10.9.0.3")


def _has_namespaces() -> bool:
    tools = ("nft", "ip", "unshare", "nsenter", "setpriv")
    return (
        os.geteuid() == 0
        and all(shutil.which(tool) for tool in tools)
        and subprocess.run(["unshare", "--net", "nft", "list", "tables"], check=False).returncode
        == 0
    )


needs_namespaces = pytest.mark.skipif(
    not _has_namespaces(), reason="network namespaces and nft need root"
)


@dataclass(frozen=True)
class Namespace:
    """A network namespace, by the process that keeps it."""

    pid: int

    def run(self, argv: Sequence[str], stdin: str | None = None) -> str:
        enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv]
        result = subprocess.run(
            enter, input=stdin, text=True, capture_output=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def python(self, program: str, *arguments: str, uid: int = 0) -> str:
        """Run a program as a user id, and return what it prints."""
        ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
        python = [sys.executable, "-I", "-c", textwrap.dedent(program), *arguments]
        return self.run([*(["setpriv", *ids] if ids else []), *python]).strip()

    @contextlib.contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Accept connections at a port, and keep them until their clients end them."""
        program = textwrap.dedent(_SERVER)
        enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", sys.executable, "-I", "-c", program]
        with subprocess.Popen([*enter, str(port)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield
            finally:
                process.kill()


_SERVER = """
import selectors, socket, sys
listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, backlog=500,
                                dualstack_ipv6=True)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            selector.register(listener.accept()[0], selectors.EVENT_READ)
        elif not key.fileobj.recv(4096):
            selector.unregister(key.fileobj)
            key.fileobj.close()
"""


@contextlib.contextmanager
def _namespace() -> Iterator[Namespace]:
    # `cat` runs until its input is closed, also when this process is killed.
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        namespace = Namespace(process.pid)
        namespace.run(["ip", "link", "set", "lo", "up"])
        try:
            yield namespace
        finally:
            process.stdin.close()


@contextlib.contextmanager
def network() -> Iterator[tuple[Namespace, Namespace]]:
    """Yield the machine's namespace and that of its visitors, connected by a cable."""
    with _namespace() as machine, _namespace() as outside:
        machine.run(["ip", "link", "add", "cable", "type", "veth", "peer", "name", "plug"])
        machine.run(["ip", "link", "set", "plug", "netns", str(outside.pid)])
        for namespace, link, addresses in (
            (machine, "cable", (MACHINE, MACHINE_V6)),
            (outside, "plug", (*VISITORS, *VISITORS_V6)),
        ):
            for address in addresses:
                prefix, options = ("32", ["nodad"]) if ":" in address else ("24", [])
                namespace.run(
                    ["ip", "address", "add", f"{address}/{prefix}", "dev", link, *options]
                )
            namespace.run(["ip", "link", "set", link, "up"])
        yield machine, outside
