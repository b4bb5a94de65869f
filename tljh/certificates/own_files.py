"""The admin's own certificate: the files that `https.tls` names, and the mistakes in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding, Place, TljhError
from tljh.certificates.audit import PairProblem, judge
from tljh.certificates.x509 import TlsPair, convert_to_pem
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


def find_pair_problems(
    https: HttpsSettings, files: Files, current_time: datetime | None = None
) -> list[Problem]:
    """Check an admin's certificate and key; return problems at the settings that name them.

    Without one of the files there are none here: another check reports that it is missing.
    """
    chain, key = files.get(https.tls.cert), files.get(https.tls.key)
    if chain is None or key is None:
        return []
    return [
        _describe_problem(https, flaw)
        for flaw in judge(chain, key, https.names, current_time or get_utc_time())
    ]


def _describe_problem(https: HttpsSettings, flaw: PairProblem) -> Problem:
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


def choose_own_certificate(
    https: HttpsSettings, files: Files, served: TlsPair | None = None
) -> TlsPair:
    """Return the admin's certificate and key to serve. Raises TljhError for fatal flaws.

    A pair that is `served` already is returned with flaws, too. Otherwise an expired certificate
    would block every other change, such as removing a user.
    """
    chain, key = (_get_content(https, part, files) for part in ("cert", "key"))
    fatal = [
        problem for problem in find_pair_problems(https, files) if problem.severity != "warning"
    ]
    pair = _convert_to_served(chain, key)
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
    """Return whether Traefik serves exactly the admin's files already."""
    return (
        _convert_to_served(_get_content(https, "cert", files), _get_content(https, "key", files))
        == served
    )


def _convert_to_served(chain: bytes, key: bytes) -> TlsPair | None:
    try:
        return TlsPair(*convert_to_pem(chain, key))
    except (ValueError, TypeError):
        return None


def _get_content(https: HttpsSettings, part: str, files: Files) -> bytes:
    path = getattr(https.tls, part)
    content = files.get(path)
    if content is None:
        raise TljhError(
            f"https.tls.{part} names a file that cannot be read: {path}",
            fix=f"put the file there, or: sudo tljh-config set https.tls.{part} /its/path",
        )
    return content


def read_files(host: HostReader, https: HttpsSettings) -> Files:
    """Read the certificate and the key that the section https.tls names."""
    names = [name for name in (https.tls.cert, https.tls.key) if name]
    return {name: host.read(Path(name), most_bytes=MOST_FILE_BYTES) for name in names}


def await_pair(host: HostReader, https: HttpsSettings) -> None:
    """Wait until certificate and key match, at most SECOND_FILE_S seconds.

    A program that renews them replaces one file before the other.
    """
    end_s = host.monotonic_s() + SECOND_FILE_S
    while host.monotonic_s() < end_s:
        files = read_files(host, https)
        is_whole = None not in files.values()
        problems = find_pair_problems(https, files)
        if is_whole and all(problem.severity == "warning" for problem in problems):
            return
        host.pause(POLL_S)


def find_unserved(https: HttpsSettings, files: Files, served: TlsPair | None) -> Iterator[Finding]:
    """Report why Traefik does not serve the admin's certificate files as they are now."""
    try:
        own = choose_own_certificate(https, files, served)
    except TljhError as error:
        for finding in error.findings:
            why = f"{finding.why}\n{STILL_SERVED}" if finding.why else STILL_SERVED
            yield Finding(finding.what, finding.where, why, finding.fix)
        return
    if served != own:
        what = "a new certificate is not served yet"
        yield Finding(what, Place(https.tls.cert), fix="sudo tljh cert renew")


def find_file_problems(
    https: HttpsSettings,
    files: Files,
    served: TlsPair | None,
    current_time: datetime | None = None,
) -> Iterator[Finding]:
    """Report why Traefik does not serve the admin's files, or that they expire soon."""
    yield from find_unserved(https, files, served)
    for problem in find_pair_problems(https, files, current_time):
        if "expires" in problem.what:
            yield problem.as_finding(Place(https.tls.cert))


def find_certificate_warnings(https: HttpsSettings, files: Files) -> list[Problem]:
    """Return the flaws of an admin's certificate that do not stop it from being served."""
    return find_pair_problems(https, files) if https.effective_mode == "tls" else []
