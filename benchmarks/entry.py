"""What it costs that the proxy asks for a cookie before a user's server.

    python -m benchmarks.entry [--rounds 200] [--json]

Two hubs behind a Traefik each, one of which asks, in turns: entering a server from the hub's page,
the requests of a page with 60 files, and 2,000 messages of a web socket, with the requests that
reach the hub meanwhile. Needs no machine and no privileges.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import websocket

from tests.hub.process.routed import RoutedHub, routed_hub
from tests.hub.process.test_entering import NAVIGATION, USERS, Visitor

OPEN = "c.RoutesProxy.ask_before_entry = False"
FILES = 60
MESSAGES = 2000


def enter(visitor: Visitor) -> None:
    """Go from the hub's page to the own server, in a browser that was not there yet."""
    for cookie in list(visitor.session.cookies):
        if cookie.path.startswith("/user/"):
            visitor.session.cookies.clear(cookie.domain, cookie.path, cookie.name)
    page = visitor.at("/hub/spawn")
    assert "program at" in page.text, page.text[-500:]


def load(visitor: Visitor) -> None:
    for number in range(FILES):
        answer = visitor.session.get(
            f"{visitor.hub.site}/user/bob/static/{number}.js", headers=NAVIGATION
        )
        assert answer.status_code == 200


def socket_requests(visitor: Visitor) -> int:
    """Return how many requests reached the hub while a web socket was busy."""
    hub = visitor.hub
    before = hub.log.count(" GET ") + hub.log.count(" POST ")
    cookie = "; ".join(f"{c.name}={c.value}" for c in visitor.session.cookies)
    channel = websocket.create_connection(
        f"{hub.site.replace('http', 'ws')}/user/bob/socket", cookie=cookie
    )
    for number in range(MESSAGES):
        channel.send(str(number))
        channel.recv()
    channel.close()
    return hub.log.count(" GET ") + hub.log.count(" POST ") - before


def measure(visitors: dict[str, Visitor], step: Callable[[Visitor], None], rounds: int) -> dict:
    times: dict[str, list[float]] = {name: [] for name in visitors}
    for _ in range(rounds):
        for name, visitor in visitors.items():
            start_s = time.perf_counter()
            step(visitor)
            times[name].append(time.perf_counter() - start_s)
    return {name: statistics.median(values) for name, values in times.items()}


def run(rounds: int) -> dict[str, float]:
    with ExitStack() as stack:
        visitors = {}
        for name, drop_in in (("asks", ""), ("open", OPEN)):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            hub: RoutedHub = stack.enter_context(routed_hub(directory, USERS, drop_in))
            hub.await_server("bob")
            visitors[name] = Visitor(hub)
            visitors[name].login("bob", "x")
        enter_s = measure(visitors, enter, rounds)
        load_s = measure(visitors, load, max(rounds // 10, 5))
        return {
            "entering, ms more": 1000 * (enter_s["asks"] - enter_s["open"]),
            "entering, times": enter_s["asks"] / enter_s["open"],
            f"a page with {FILES} files, times": load_s["asks"] / load_s["open"],
            "requests at the hub of a busy web socket": socket_requests(visitors["asks"]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.rounds)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:42} {value:.3f}")


if __name__ == "__main__":
    main()
