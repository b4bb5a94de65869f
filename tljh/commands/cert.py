"""`tljh cert`: the state of the hub's certificate; requesting, serving and revoking one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from tljh.base.clock import get_utc_time
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.commands.parameters import Option, Summary, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations.certificate_renewal import (
    CertificateState,
    RenewalResult,
    read_certificate_state,
    renew,
)
from tljh.operations.certificate_requests import Preflight, check_request
from tljh.operations.certificate_requests import issue as issue_certificate
from tljh.operations.certificate_revocation import UNSPECIFIED
from tljh.operations.certificate_revocation import revoke as revoke_certificate

# The reasons of RFC 5280 that an authority accepts from the owner of a certificate.
REASONS = (
    UNSPECIFIED,
    "keycompromise",
    "affiliationchanged",
    "superseded",
    "cessationofoperation",
)


Timeout = Annotated[float | None, Option("--timeout", "Seconds to wait for the authority.")]


@dataclass(frozen=True)
class CertificateStatus:
    """The state of the served certificate; the exit code is 1 if browsers would warn of it."""

    state: CertificateState

    @property
    def exit_code(self) -> int:
        if self.state.mode is None:
            return 0
        is_good = self.state.problem is None and not self.state.complaints
        return 0 if is_good else 1

    def as_json(self) -> dict[str, Any]:
        state = self.state
        if state.mode is None:
            return {"mode": None}
        return {
            "mode": state.mode,
            "names": list(state.names),
            "authority": state.authority,
            **self._details_as_json(),
            "served": state.problem is None,
            "problem": state.problem,
            "complaints": list(state.complaints),
            "next_renewal": state.renewal.isoformat(timespec="seconds") if state.renewal else None,
            "next_try": state.next_try.isoformat(timespec="seconds") if state.next_try else None,
            "last_error": state.last_error,
            "trust": state.trust.as_json() if state.trust else None,
        }

    def _details_as_json(self) -> dict[str, Any]:
        details = self.state.about
        if details is None:
            return {}
        return {
            "certificate": {
                "names": list(details.names),
                "issuer": details.issuer,
                "not_before": details.not_before.isoformat(),
                "not_after": details.not_after.isoformat(),
                "days_left": round(details.days_left(get_utc_time()), 2),
                "serial": details.serial,
                "fingerprint": details.fingerprint,
            }
        }

    def as_text(self) -> str:
        state, details = self.state, self.state.about
        if state.mode is None:
            return "HTTPS is off; to switch it on, see: tljh-config describe https"
        lines = [f"mode          {state.mode}"]
        if details is not None:
            days = f"{details.days_left(get_utc_time()):.1f} days"
            by = f", by {state.authority}" if state.mode == "letsencrypt" else ""
            lines += [
                f"names         {', '.join(details.names)}",
                f"issuer        {details.issuer}{by}",
                f"valid until   {_format_minute(details.not_after)} ({days})",
            ]
        if state.renewal:
            lines.append(f"next renewal  {_describe_next_renewal(state, state.renewal)}")
        lines.append(f"served        {state.problem or 'yes, seen at the port'}")
        if state.complaints:
            lines.append(f"browsers      warn: {', '.join(state.complaints)}")
        if state.last_error:
            time = f" ({state.last_error['at']})" if state.last_error["at"] else ""
            lines.append(f"last error    {state.last_error['what']}{time}")
            why = str(state.last_error["why"] or "")
            lines += [f"              {line}" for line in why.splitlines()]
        if state.trust:
            lines += ["", state.trust.as_text()]
        return "\n".join(lines)


def _format_minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _describe_next_renewal(state: CertificateState, renewal: datetime) -> str:
    if not state.is_due:
        return _format_minute(renewal)
    if state.next_try:
        return f"is due; after failures, the next attempt is at {_format_minute(state.next_try)}"
    return "is due"


def status() -> CertificateStatus:
    """Print names, issuer, days left, next renewal, last error, and what the port serves."""
    return CertificateStatus(read_certificate_state(RealHost(), get_paths()))


def issue(*, timeout_s: Timeout = None, as_json: bool = False) -> CertificateStatus:
    """Request a new certificate now, whether or not one is due, and serve it."""
    host, paths = RealHost(), get_paths()
    progress = choose_progress_on_stderr(as_json)
    return CertificateStatus(issue_certificate(host, paths, progress, timeout_s=timeout_s))


def renew_if_due(*, timeout_s: Timeout = None, as_json: bool = False) -> Summary:
    """Request a new certificate if a third of the lifetime or less is left."""
    host, paths = RealHost(), get_paths()
    renewed = renew(host, paths, choose_progress_on_stderr(as_json), timeout_s=timeout_s)
    data = {
        "obtained": renewed.obtained,
        "exchanged": renewed.exchanged,
        "waits_until": renewed.waits_until.isoformat() if renewed.waits_until else None,
    }
    return Summary((_describe_renewal(renewed),), data)


def _describe_renewal(renewed: RenewalResult) -> str:
    if renewed.obtained:
        return "a new certificate is served"
    if renewed.exchanged:
        return "the newest available certificate is served now"
    if renewed.waits_until:
        return "a new certificate is due; after failures, the next attempt is at " + _format_minute(
            renewed.waits_until
        )
    return "nothing to do: no certificate is due"


def revoke(
    *,
    reason: Annotated[str, Option("--reason", f"Why: {', '.join(REASONS)}.")] = UNSPECIFIED,
    replace: Annotated[
        bool, Option("--replace/--no-replace", "Request and serve a new one first.")
    ] = True,
    timeout_s: Timeout = None,
    as_json: bool = False,
) -> Summary:
    """Request and serve a certificate with a new key, then revoke the old one.

    If that fails, run the command again: it continues with the same certificate.
    """
    if reason not in REASONS:
        raise TljhError(
            f"there is no reason {reason} to revoke a certificate",
            why=f"the reasons are {', '.join(REASONS)}",
            fix="sudo tljh cert revoke --reason keycompromise",
            exit_code=Exit.USAGE,
        )
    host, paths, progress = RealHost(), get_paths(), choose_progress_on_stderr(as_json)
    revoked = revoke_certificate(
        host, paths, progress, reason, replace=replace, timeout_s=timeout_s
    )
    after = "it is no longer served"
    if revoked.is_served:
        after = "it is served until a new one comes, within an hour; now: sudo tljh cert issue"
    return Summary(
        (f"the certificate {revoked.about.serial} is revoked; {after}",),
        {
            "serial": revoked.about.serial,
            "names": list(revoked.about.names),
            "replaced": not revoked.is_served,
        },
    )


@dataclass(frozen=True)
class PreflightReport:
    """Doubts that a request for a certificate would succeed."""

    preflight: Preflight

    def as_json(self) -> dict[str, Any]:
        return {"names": list(self.preflight.names), "doubts": list(self.preflight.doubts)}

    def as_text(self) -> str:
        if not self.preflight.doubts:
            names = ", ".join(self.preflight.names)
            return f"a request for a certificate for {names} should succeed"
        return "\n".join(f"doubtful: {doubt}" for doubt in self.preflight.doubts)


def check() -> PreflightReport:
    """Check names, DNS, port 80, clock and files; the authority is not asked for a certificate."""
    return PreflightReport(check_request(RealHost(), get_paths()))
