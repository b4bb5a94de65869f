"""What went wrong in the worker, in a form that crosses the pipe."""

from __future__ import annotations

import re

_IN_NO_CHANNEL = re.compile(r"No candidates were found for (\S+(?: \S*\d\S*)?)")


class Problem(Exception):
    """`kind` tells the caller which advice to give: channel, missing, unsolvable, …"""

    def __init__(self, kind: str, what: str, why: str = "") -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.why = why

    def as_json(self) -> dict[str, str]:
        return {"kind": self.kind, "what": self.what, "why": self.why}


# py-rattler's own exception classes, by name: importing them costs what the solve may not need.
_KINDS = {
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


def problem_of(error: BaseException) -> Problem:
    """The problem that an exception stands for."""
    why = str(error).strip() or type(error).__name__
    if "No space left on device" in why or "os error 28" in why:
        return Problem("disk", "the disk is full", why)
    if absent := _IN_NO_CHANNEL.findall(why):
        named = ", ".join(sorted({name.rstrip(".") for name in absent}))
        return Problem("missing", f"no channel has {named}", why)
    kind, what = _KINDS.get(type(error).__name__, ("other", "the environment was not changed"))
    return Problem(kind, what, why)
