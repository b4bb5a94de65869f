"""`python -I -m tljh.conda.worker`: read one request, print its answer, exit."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import traceback
from typing import Any

from tljh.conda.worker.events import CondaProblem, problem_of


def main() -> None:
    """Answer the request; turn every exception into a `problem` that the caller explains."""
    # rattler makes directories with the caller's umask; with 077 users could not read them.
    os.umask(0o022)
    request = json.load(sys.stdin)
    cap_bytes = request.get("memory_cap_bytes")
    if cap_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (cap_bytes, cap_bytes))
    try:
        answer = {"result": asyncio.run(_answer(request))}
    except CondaProblem as problem:
        answer = {"problem": problem.as_json()}
    except Exception as error:
        traceback.print_exc()
        answer = {"problem": problem_of(error).as_json()}
    print(json.dumps(answer), flush=True)
    sys.stderr.flush()
    # An ordinary exit with rattler loaded crashes now and then, after the work is done.
    os._exit(0)


async def _answer(request: dict[str, Any]) -> object:
    # Imported late, so that `revert` loads no rattler.
    operation = request["operation"]
    if operation == "solve":
        from tljh.conda.worker.solving import solve

        return await solve(request)
    if operation == "build":
        from tljh.conda.worker.transaction import build

        return await build(request)
    if operation == "apply":
        from tljh.conda.worker.transaction import apply

        return await apply(request)
    if operation == "revert":
        from tljh.conda.worker.trees import revert

        return revert(request)
    raise CondaProblem("request", f"the conda worker knows no operation {operation!r}")


if __name__ == "__main__":
    main()
