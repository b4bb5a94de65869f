"""`python -I -m tljh.conda.worker`: read one request, print its answer, exit."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import traceback
from typing import Any

from tljh.conda.worker.events import CondaProblem, classify_error


def main() -> None:
    """Read a request from standard input, carry it out, and print the answer; both are JSON.

    Every exception becomes a `problem` in the answer, which the caller explains.
    """
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
        answer = {"problem": classify_error(error).as_json()}
    print(json.dumps(answer), flush=True)
    sys.stderr.flush()
    # An ordinary exit with rattler loaded crashes now and then, after the work is done.
    os._exit(0)


async def _answer(request: dict[str, Any]) -> object:
    # Imported late: `revert` and snapshots load no rattler.
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
    if operation in ("plan_packages", "list_packages", "search"):
        from tljh.conda.worker import package_plans

        planned = getattr(package_plans, operation)(request)
        return await planned if asyncio.iscoroutine(planned) else planned
    if operation == "plan_declared":
        from tljh.conda.worker.declared_plans import plan_declared

        return await plan_declared(request)
    if operation == "copy_channel":
        from tljh.conda.worker.channel_subset import copy_channel

        return await copy_channel(request)
    if operation == "repair":
        from tljh.conda.worker.repair import repair

        return await repair(request)
    if operation == "export":
        from tljh.conda.worker.environment_export import export

        return export(request)
    if operation == "plan_pip":
        from tljh.conda.worker.pip_changes import plan_pip

        return plan_pip(request)
    if operation == "examine":
        from tljh.conda.worker.examination import examine

        return examine(request)
    if operation == "find_unmet":
        from tljh.conda.worker.unmet_requirements import find_unmet

        return find_unmet(request)
    if operation in ("check", "list_conflicts"):
        from tljh.conda.worker import checking

        checked: object = getattr(checking, operation)(request)
        return checked
    if operation in ("record", "compare", "restore", "describe", "remove_after"):
        from tljh.conda.worker import snapshots

        answer = getattr(snapshots, operation)(request)
        return await answer if asyncio.iscoroutine(answer) else answer
    raise CondaProblem("request", f"the conda worker knows no operation {operation!r}")


if __name__ == "__main__":
    main()
