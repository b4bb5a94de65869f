"""Tells the caller how far a transaction is, and remembers what failed silently."""

from __future__ import annotations

import json
import sys
import threading
import time

INTERVAL_S = 0.1


def note(text: str) -> None:
    _emit({"note": text})


def step(title: str) -> None:
    """What is done now: `advance` counts inside it."""
    _emit({"step": title})


def _emit(event: dict[str, object]) -> None:
    print(json.dumps(event), file=sys.stdout, flush=True)


class Reporter:
    """py-rattler calls this from its own threads, one operation a package.

    A failing link script stops nothing and raises nothing there; `failed_scripts` has it.
    """

    def __init__(self) -> None:
        self.failed_scripts: list[str] = []
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._total = 0
        self._fetched = 0
        self._linked = 0
        self._told_s = 0.0

    def on_transaction_start(self, total_operations: int) -> None:
        self._total = total_operations

    def on_transaction_operation_start(self, operation: int) -> None: ...
    def on_transaction_operation_complete(self, operation: int) -> None: ...
    def on_transaction_complete(self) -> None: ...

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        return self._remember(package_name)

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
        return self._remember(package_name)

    def on_link_complete(self, index: int) -> None:
        self._linked += 1
        self._advance(f"linked {self._names[index]}")

    def on_post_link_start(self, package_name: str, script_path: str) -> int:
        return self._remember(f"{package_name} ({script_path})")

    def on_post_link_complete(self, index: int, success: bool) -> None:
        if not success:
            self.failed_scripts.append(self._names[index])

    def on_pre_unlink_start(self, package_name: str, script_path: str) -> int:
        return 0

    def on_pre_unlink_complete(self, index: int, success: bool) -> None: ...

    def _remember(self, name: str) -> int:
        with self._lock:
            self._names.append(name)
            return len(self._names) - 1

    def _advance(self, what: str) -> None:
        now_s = time.monotonic()
        done = self._fetched + self._linked
        if now_s - self._told_s < INTERVAL_S and done < 2 * self._total:
            return
        self._told_s = now_s
        _emit({"done": done, "total": 2 * self._total, "what": what})
