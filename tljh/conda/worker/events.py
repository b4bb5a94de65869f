"""What the worker reports to its caller: steps, progress and problems. No rattler is imported."""

from __future__ import annotations

import json
import re
import sys
import threading
import time

INTERVAL_S = 0.1


_NO_CANDIDATES = re.compile(r"No candidates were found for (\S+(?: \S*\d\S*)?)")


# py-rattler's exception classes by name: `revert` uses this module and loads no rattler.
_PROBLEMS = {
    "SolverError": ("unsolvable", "the packages cannot be installed together"),
    "GatewayError": ("channel", "a conda channel cannot be read"),
    "FetchRepoDataError": ("channel", "a conda channel cannot be read"),
    "InvalidMatchSpecError": ("request", "a package is not named in conda's way"),
    "InvalidChannelError": ("request", "a channel is not named in conda's way"),
    "InstallerError": ("package", "a package could not be fetched or unpacked"),
    "TransactionError": ("package", "a package could not be installed"),
    "LinkError": ("package", "a package could not be installed"),
    "ExtractError": ("package", "a package could not be unpacked"),
}


class CondaProblem(Exception):
    """A failure that the caller can explain; `kind` selects the fix it proposes."""

    def __init__(self, kind: str, what: str, why: str = "") -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.why = why

    def as_json(self) -> dict[str, str]:
        return {"kind": self.kind, "what": self.what, "why": self.why}


def classify_error(error: BaseException) -> CondaProblem:
    """Translate an exception of rattler or of the operating system into a problem."""
    why = str(error).strip() or type(error).__name__
    if "No space left on device" in why or "os error 28" in why:
        return CondaProblem("disk", "the disk is full", why)
    if specs := _NO_CANDIDATES.findall(why):
        names = ", ".join(sorted({spec.rstrip(".") for spec in specs}))
        return CondaProblem("missing", f"no channel has {names}", why)
    kind, what = _PROBLEMS.get(type(error).__name__, ("other", "the environment was not changed"))
    return CondaProblem(kind, what, why)


def note(text: str) -> None:
    _emit({"note": text})


def begin_step(title: str) -> None:
    """Report that a step begins; the progress inside it is counted separately."""
    _emit({"step": title})


def _emit(event: dict[str, object]) -> None:
    print(json.dumps(event), file=sys.stdout, flush=True)


class Reporter:
    """Callbacks of py-rattler's transaction, which it calls from its own threads.

    A link script that fails raises nothing and stops nothing in rattler; `failed_scripts` has
    its name, and the caller must check it.
    """

    def __init__(self) -> None:
        self.failed_scripts: list[str] = []
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._total = 0
        self._fetched = 0
        self._linked = 0
        self._last_event_s = 0.0

    def on_transaction_start(self, total_operations: int) -> None:
        self._total = total_operations

    def on_transaction_operation_start(self, operation: int) -> None: ...
    def on_transaction_operation_complete(self, operation: int) -> None: ...
    def on_transaction_complete(self) -> None: ...

    # What a `…_start` returns is the index that rattler passes to the matching callbacks.
    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        return self._add_name(package_name)

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        self._fetched += 1
        self._advance(f"fetched {self._names[cache_entry]}")

    def on_validate_start(self, cache_entry: int) -> int:
        return cache_entry

    def on_validate_complete(self, validate_idx: int) -> None: ...
    def on_download_start(self, cache_entry: int) -> int:
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        self._advance(f"fetching {self._names[download_idx]}")

    def on_download_completed(self, download_idx: int) -> None: ...
    def on_unlink_start(self, operation: int, package_name: str) -> int:
        return 0

    def on_unlink_complete(self, index: int) -> None: ...
    def on_link_start(self, operation: int, package_name: str) -> int:
        return self._add_name(package_name)

    def on_link_complete(self, index: int) -> None:
        self._linked += 1
        self._advance(f"linked {self._names[index]}")

    def on_post_link_start(self, package_name: str, script_path: str) -> int:
        return self._add_name(f"{package_name} ({script_path})")

    def on_post_link_complete(self, index: int, success: bool) -> None:
        if not success:
            self.failed_scripts.append(self._names[index])

    def on_pre_unlink_start(self, package_name: str, script_path: str) -> int:
        return 0

    def on_pre_unlink_complete(self, index: int, success: bool) -> None: ...

    def _add_name(self, name: str) -> int:
        with self._lock:
            self._names.append(name)
            return len(self._names) - 1

    def _advance(self, what: str) -> None:
        current_s = time.monotonic()
        done = self._fetched + self._linked
        # Each package counts twice: fetched, and linked. The last event is never left out.
        if current_s - self._last_event_s < INTERVAL_S and done < 2 * self._total:
            return
        self._last_event_s = current_s
        _emit({"done": done, "total": 2 * self._total, "what": what})
