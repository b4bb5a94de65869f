"""A fresh installation over a network that cuts downloads at random places."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator

import pytest

from cutting_proxy import CuttingProxy, cutting_proxy
from machine import Machine
from machine.image import CHECKOUT
from machine.install import local_channel

# With the first, hardly an index arrives; with the last, all but the largest packages do.
MEANS_BYTES = (50_000, 500_000, 2_000_000, 5_000_000, 20_000_000)
CREATED = (
    "/opt/tljh/hub /opt/tljh/config /etc/systemd/system/jupyterhub.service /usr/bin/tljh-config"
)


@pytest.fixture
def channel_port(release: str) -> Iterator[str]:
    """Serve the local channel over HTTP and return the port."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(local_channel(release)))
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield str(server.server_address[1])
        server.shutdown()
        thread.join()


@pytest.mark.long
@pytest.mark.machine(with_caches=False)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cut_downloads_are_errors_that_leave_nothing_and_the_next_run_goes_on(
    machine: Machine, channel_port: str, seed: int
) -> None:
    machine.copy_checkout(CHECKOUT)
    gateway = machine.run("ip route | awk '/default/ {print $3}'").stdout.strip()
    with cutting_proxy(seed) as proxy:
        run = functools.partial(install, machine, gateway, channel_port, proxy)
        codes = [run(mean) for mean in MEANS_BYTES]
        assert codes[0] != 0, "nothing was cut, so nothing was tested"
        assert 0 in codes or run(None) == 0
    assert machine.run("tljh status").stdout.startswith("status: fine")


def install(
    machine: Machine, gateway: str, channel: str, proxy: CuttingProxy, mean_bytes: int | None
) -> int:
    """Run the bootstrap and return its exit code; an error must be explained, with a fix."""
    proxy.mean_bytes, before = mean_bytes, proxy.cuts
    address = f"http://{gateway}:{proxy.port}"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    environment = {**dict.fromkeys(names, address), "no_proxy": "127.0.0.1,localhost"}
    done = machine.run(
        "python3 /srv/tljh/installer/bootstrap.py --admin ada "
        f"--conda-channel http://{gateway}:{channel}",
        check=False,
        timeout_s=1500,
        env=environment,
    )
    print(f"mean {mean_bytes}: {proxy.cuts - before} cuts, {done.code}, {done.seconds:.0f} s")
    print(done.stderr[-2500:])
    if done.code == 0:
        return 0
    assert done.code in (1, 3), done
    assert "Traceback" not in done.stderr + done.stdout
    assert "error: " in done.stderr and "fix: " in done.stderr
    assert machine.run(f"ls -d {CREATED}", check=False).stdout == ""
    return done.code
