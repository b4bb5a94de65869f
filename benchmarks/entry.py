"""What it costs that the proxy asks for a cookie before a user's server.

    python -m benchmarks.entry [--rounds 200] [--json]

Three hubs behind a Traefik each, one of which asks, in turns: entering a server from the hub's
page, the requests of a page with 60 files, and 2,000 messages of a web socket, with the requests
that reach the hub meanwhile. Needs no machine and no privileges.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import websocket

from tests.hub.process.routed import RoutedHub, routed_hub
from tests.hub.process.test_entering import NAVIGATION, USERS, Visitor
from tljh.hub.process.entry import COOKIE

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


def load(visitors: Sequence[Visitor], seconds: Sequence[list[float]]) -> None:
    """Load a page's files from each hub; add the seconds of each file.

    File by file, with another hub first each time: whatever else the computer does meets all hubs.
    """
    for number in range(FILES):
        order = list(range(len(visitors)))
        for index in order[number % len(order) :] + order[: number % len(order)]:
            start_s = time.perf_counter()
            answer = visitors[index].session.get(
                f"{visitors[index].hub.site}/user/bob/static/{number}.js", headers=NAVIGATION
            )
            seconds[index].append(time.perf_counter() - start_s)
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


def measure_entering(visitors: Sequence[Visitor], rounds: int) -> list[float]:
    """Return the median of the seconds of entering, for each hub."""
    times: list[list[float]] = [[] for _ in visitors]
    for number in range(rounds):
        order = list(range(len(visitors)))
        for index in order[number % len(order) :] + order[: number % len(order)]:
            start_s = time.perf_counter()
            enter(visitors[index])
            times[index].append(time.perf_counter() - start_s)
    return [statistics.median(values) for values in times]


def run(rounds: int) -> dict[str, float]:
    with ExitStack() as stack:
        visitors = []
        # The third is as the second: how far the two are apart is what the computer itself adds.
        for drop_in in ("", OPEN, OPEN):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            hub: RoutedHub = stack.enter_context(routed_hub(directory, USERS, drop_in))
            hub.await_server("bob")
            visitor = Visitor(hub)
            visitor.login("bob", "x")
            visitors.append(visitor)
        asks, is_open, control = measure_entering(visitors, rounds)
        # What the client itself takes to send the cookie is no work of the proxy.
        for visitor in visitors[1:]:
            visitor.session.cookies.set(COOKIE, "0" * 64, path="/user/bob/", domain="127.0.0.1")
        seconds: list[list[float]] = [[] for _ in visitors]
        for _ in range(max(rounds // 4, 5)):
            load(visitors, seconds)
        asks_s, open_s, control_s = map(statistics.median, seconds)
        return {
            "entering, ms more": 1000 * (asks - is_open),
            "entering, times": asks / is_open,
            "entering, times (noise)": control / is_open,
            f"a page with {FILES} files, times": asks_s / open_s,
            f"a page with {FILES} files, times (noise)": control_s / open_s,
            "requests at the hub of a busy web socket": socket_requests(visitors[0]),
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
