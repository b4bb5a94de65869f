"""A certificate of one's own: the files that `https.tls` names, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tljh.errors import Finding, Place, TljhError
from tljh.proxy.certificates.pair import Flaw, judge, utc_now
from tljh.proxy.dynamic import Certificate
from tljh.settings import Problem

if TYPE_CHECKING:
    from tljh.proxy.settings import HttpsSettings

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


def own_certificate(https: HttpsSettings, files: Files) -> Certificate:
    """The pair to serve. Raises TljhError, naming the file, for one that must not be."""
    chain, key = (_content(https, part, files) for part in ("cert", "key"))
    fatal = [one for one in pair_problems(https, files) if one.severity != "warning"]
    if fatal:
        raise TljhError(
            [
                Finding(one.what, Place(getattr(https.tls, str(one.path[-1]))), one.why, one.fix)
                for one in fatal
            ]
        )
    return Certificate(chain, key)


def _content(https: HttpsSettings, part: str, files: Files) -> bytes:
    path = getattr(https.tls, part)
    found = files.get(path)
    if found is None:
        raise TljhError(
            f"https.tls.{part} names a file that cannot be read: {path}",
            fix=f"put the file there, or: sudo tljh-config set https.tls.{part} /its/path",
        )
    return found


def certificate_warnings(https: HttpsSettings, files: Files) -> list[Problem]:
    """What browsers will complain of, though it can be served."""
    if https.effective_mode != "tls":
        return []
    return [one for one in pair_problems(https, files) if one.severity == "warning"]
