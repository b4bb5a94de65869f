"""A certificate of one's own: the files that `https.tls` names, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import utc_now
from tljh.base.errors import Finding, Place, TljhError
from tljh.certificates.audit import Flaw, judge
from tljh.certificates.x509 import TlsPair, as_pem
from tljh.host.interface import HostReader
from tljh.settings.declaration import Problem
from tljh.settings.sections.https import MOST_FILE_BYTES

if TYPE_CHECKING:
    from tljh.settings.sections.https import HttpsSettings

# A certificate and its key are copied one after the other.
SECOND_FILE_S = 5.0


POLL_S = 0.2


KEPT = "the certificate that was served before still is"


# Content by path; None for a file that cannot be read.
Files = Mapping[str, bytes | None]


def pair_problems(https: HttpsSettings, files: Files, now: datetime | None = None) -> list[Problem]:
    """What is wrong with both files together, as problems of their settings.

    Says nothing where one is missing, which is another check's to tell.
    """
    chain, key = files.get(https.tls.cert), files.get(https.tls.key)
    if chain is None or key is None:
        return []
    return [_problem(https, flaw) for flaw in judge(chain, key, https.names, now or utc_now())]


def _problem(https: HttpsSettings, flaw: Flaw) -> Problem:
    setting = f"https.tls.{flaw.part}"
    path = getattr(https.tls, flaw.part)
    if flaw.is_mismatch:
        what = "https.tls.key is not the key of https.tls.cert"
    else:
        what = f"{setting} {flaw.what}: {path}"
    # A `set` of one of the two has to be possible before the other follows.
    fatal = "incomplete" if flaw.is_mismatch else "error"
    return Problem(
        ("https", "tls", flaw.part),
        what,
        why=flaw.why,
        fix=flaw.fix,
        severity=fatal if flaw.is_fatal else "warning",  # type: ignore[arg-type]
    )


def own_certificate(https: HttpsSettings, files: Files, served: TlsPair | None = None) -> TlsPair:
    """The pair to serve. Raises TljhError, naming the file, for one that must not be.

    What is `served` already goes on: an expired certificate must not be in the way of every
    other change, such as shutting somebody out.
    """
    chain, key = (_content(https, part, files) for part in ("cert", "key"))
    fatal = [one for one in pair_problems(https, files) if one.severity != "warning"]
    pair = _as_served(chain, key)
    if fatal and (pair is None or pair != served):
        raise TljhError(
            [
                Finding(one.what, Place(getattr(https.tls, str(one.path[-1]))), one.why, one.fix)
                for one in fatal
            ]
        )
    assert pair is not None, "what cannot be read was told as a problem"
    return pair


def _as_served(chain: bytes, key: bytes) -> TlsPair | None:
    try:
        return TlsPair(*as_pem(chain, key))
    except (ValueError, TypeError):
        return None


def _content(https: HttpsSettings, part: str, files: Files) -> bytes:
    path = getattr(https.tls, part)
    found = files.get(path)
    if found is None:
        raise TljhError(
            f"https.tls.{part} names a file that cannot be read: {path}",
            fix=f"put the file there, or: sudo tljh-config set https.tls.{part} /its/path",
        )
    return found


def read_files(host: HostReader, https: HttpsSettings) -> Files:
    names = [name for name in (https.tls.cert, https.tls.key) if name]
    return {name: host.read(Path(name), most_bytes=MOST_FILE_BYTES) for name in names}


def await_pair(host: HostReader, https: HttpsSettings) -> None:
    """Wait a moment for the second of two files, when the first has just been replaced."""
    end_s = host.monotonic_s() + SECOND_FILE_S
    while host.monotonic_s() < end_s:
        files = read_files(host, https)
        is_whole = None not in files.values()
        if is_whole and all(one.severity == "warning" for one in pair_problems(https, files)):
            return
        host.pause(POLL_S)


def not_taken_up(https: HttpsSettings, files: Files, served: TlsPair | None) -> Iterator[Finding]:
    """Why the files as they are now are not what is served."""
    try:
        own = own_certificate(https, files, served)
    except TljhError as error:
        for one in error.findings:
            why = f"{one.why}\n{KEPT}" if one.why else KEPT
            yield Finding(one.what, one.where, why, one.fix)
        return
    if served != own:
        what = "a new certificate has not been taken up yet"
        yield Finding(what, Place(https.tls.cert), fix="sudo tljh cert renew")


def file_findings(
    https: HttpsSettings,
    files: Files,
    served: TlsPair | None,
    now: datetime | None = None,
) -> Iterator[Finding]:
    """Why the files as they are now are not what is served, and when they will have expired."""
    yield from not_taken_up(https, files, served)
    for problem in pair_problems(https, files, now):
        if "expires" in problem.what:
            yield Finding(problem.what, Place(https.tls.cert), problem.why, problem.fix)


def certificate_warnings(https: HttpsSettings, files: Files) -> list[Problem]:
    """What browsers will complain of, though it is served."""
    return pair_problems(https, files) if https.effective_mode == "tls" else []
