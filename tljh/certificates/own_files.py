"""The admin's own certificate: the files that `https.tls` names, and the mistakes in them."""

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

# How long the second file may come after the first: an admin copies one after the other.
SECOND_FILE_S = 5.0


POLL_S = 0.2


STILL_SERVED = "the previous certificate is still served"


# Contents by path; None for a file that cannot be read.
Files = Mapping[str, bytes | None]


def pair_problems(https: HttpsSettings, files: Files, now: datetime | None = None) -> list[Problem]:
    """Return the flaws of the two files as problems of their settings.

    Without one of the files there are none here: another check reports that it is missing.
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
    # An admin changes the two settings one after the other, and in between they do not match. So
    # this problem must not refuse a `set`.
    fatal = "incomplete" if flaw.is_mismatch else "error"
    return Problem(
        ("https", "tls", flaw.part),
        what,
        why=flaw.why,
        fix=flaw.fix,
        severity=fatal if flaw.is_fatal else "warning",  # type: ignore[arg-type]
    )


def own_certificate(https: HttpsSettings, files: Files, served: TlsPair | None = None) -> TlsPair:
    """Return the pair to serve. Raises TljhError, with the file's name, for one with fatal flaws.

    A pair that is `served` already is returned with flaws, too. Otherwise an expired certificate
    would block every other change, such as removing a user.
    """
    chain, key = (_content(https, part, files) for part in ("cert", "key"))
    fatal = [problem for problem in pair_problems(https, files) if problem.severity != "warning"]
    pair = _as_served(chain, key)
    if fatal and (pair is None or pair != served):
        raise TljhError(
            [
                problem.as_finding(Place(getattr(https.tls, str(problem.path[-1]))))
                for problem in fatal
            ]
        )
    assert pair is not None, "a pair that cannot be read has fatal problems"
    return pair


def is_served(https: HttpsSettings, files: Files, served: TlsPair) -> bool:
    """Return whether Traefik serves exactly these files already."""
    return _as_served(_content(https, "cert", files), _content(https, "key", files)) == served


def _as_served(chain: bytes, key: bytes) -> TlsPair | None:
    try:
        return TlsPair(*as_pem(chain, key))
    except (ValueError, TypeError):
        return None


def _content(https: HttpsSettings, part: str, files: Files) -> bytes:
    path = getattr(https.tls, part)
    content = files.get(path)
    if content is None:
        raise TljhError(
            f"https.tls.{part} names a file that cannot be read: {path}",
            fix=f"put the file there, or: sudo tljh-config set https.tls.{part} /its/path",
        )
    return content


def read_files(host: HostReader, https: HttpsSettings) -> Files:
    """Read the files that the settings name."""
    names = [name for name in (https.tls.cert, https.tls.key) if name]
    return {name: host.read(Path(name), most_bytes=MOST_FILE_BYTES) for name in names}


def await_pair(host: HostReader, https: HttpsSettings) -> None:
    """Wait until both files match, at most SECOND_FILE_S: one may be replaced before the other."""
    end_s = host.monotonic_s() + SECOND_FILE_S
    while host.monotonic_s() < end_s:
        files = read_files(host, https)
        is_whole = None not in files.values()
        problems = pair_problems(https, files)
        if is_whole and all(problem.severity == "warning" for problem in problems):
            return
        host.pause(POLL_S)


def unserved_findings(
    https: HttpsSettings, files: Files, served: TlsPair | None
) -> Iterator[Finding]:
    """Report why Traefik does not serve the files as they are."""
    try:
        own = own_certificate(https, files, served)
    except TljhError as error:
        for finding in error.findings:
            why = f"{finding.why}\n{STILL_SERVED}" if finding.why else STILL_SERVED
            yield Finding(finding.what, finding.where, why, finding.fix)
        return
    if served != own:
        what = "a new certificate is not served yet"
        yield Finding(what, Place(https.tls.cert), fix="sudo tljh cert renew")


def file_findings(
    https: HttpsSettings,
    files: Files,
    served: TlsPair | None,
    now: datetime | None = None,
) -> Iterator[Finding]:
    """Report why Traefik does not serve the files as they are, and that they expire soon."""
    yield from unserved_findings(https, files, served)
    for problem in pair_problems(https, files, now):
        if "expires" in problem.what:
            yield problem.as_finding(Place(https.tls.cert))


def certificate_warnings(https: HttpsSettings, files: Files) -> list[Problem]:
    """Return the flaws with which the certificate is served all the same."""
    return pair_problems(https, files) if https.effective_mode == "tls" else []
