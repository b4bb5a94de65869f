"""`tljh cert`: how the hub's certificate is, and getting, exchanging or revoking one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from tljh.base.clock import utc_now
from tljh.base.errors import Exit, Finding, TljhError
from tljh.base.paths import Paths, paths_from_environment
from tljh.commands.parameters import Option, Summary, progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations.certificate_renewal import (
    CertificateState,
    Renewed,
    read_applied,
    read_certificate_state,
    renew,
)
from tljh.operations.certificate_revocation import UNSPECIFIED
from tljh.operations.certificate_revocation import revoke as revoke_certificate
from tljh.operations.installed_config import configuration_bytes, load_configuration

REASONS = (
    UNSPECIFIED,
    "keycompromise",
    "affiliationchanged",
    "superseded",
    "cessationofoperation",
)


Timeout = Annotated[float | None, Option("--timeout", "Seconds that the authority may take.")]


@dataclass(frozen=True)
class CertificateStatus:
    """How the certificate stands; the exit code is 1 when people would be warned of it."""

    state: CertificateState
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        if self.state.mode is None:
            return 0
        is_good = self.state.problem is None and not self.state.complaints
        return 0 if is_good else 1

    def as_json(self) -> dict[str, Any]:
        now, about = self.state, self.state.about
        found: dict[str, Any] = {"mode": now.mode}
        if now.mode is None:
            return found
        found |= {"names": list(now.names), "authority": now.authority}
        if about is not None:
            found |= {
                "certificate": {
                    "names": list(about.names),
                    "issuer": about.issuer,
                    "not_before": about.not_before.isoformat(),
                    "not_after": about.not_after.isoformat(),
                    "days_left": round(about.days_left(utc_now()), 2),
                    "serial": about.serial,
                    "fingerprint": about.fingerprint,
                }
            }
        return found | {
            "served": now.problem is None,
            "problem": now.problem,
            "complaints": list(now.complaints),
            "next_renewal": now.renewal.isoformat(timespec="seconds") if now.renewal else None,
            "next_try": now.next_try.isoformat(timespec="seconds") if now.next_try else None,
            "last_error": now.last_error,
            "trust": now.trust.as_json() if now.trust else None,
        }

    def as_text(self) -> str:
        now, about = self.state, self.state.about
        if now.mode is None:
            return "HTTPS is off; how to have it: tljh-config describe https"
        lines = [f"mode          {now.mode}"]
        if about is not None:
            lines += [
                f"names         {', '.join(about.names)}",
                f"issuer        {about.issuer}"
                + (f", by {now.authority}" if now.mode == "letsencrypt" else ""),
                f"valid until   {_when(about.not_after)} ({about.days_left(utc_now()):.1f} days)",
            ]
        if now.renewal:
            lines.append(f"next renewal  {_next(now)}")
        lines.append(f"served        {'yes, seen at the port' if not now.problem else now.problem}")
        if now.complaints:
            lines.append(f"browsers      warn: {', '.join(now.complaints)}")
        if now.last_error:
            at = f" ({now.last_error['at']})" if now.last_error["at"] else ""
            lines.append(f"last error    {now.last_error['what']}{at}")
            why = str(now.last_error["why"] or "")
            lines += [f"              {line}" for line in why.splitlines()]
        if now.trust:
            lines += ["", now.trust.as_text()]
        return "\n".join(lines)


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _next(now: CertificateState) -> str:
    assert now.renewal is not None
    if not now.is_due:
        return _when(now.renewal)
    if now.next_try:
        return f"is due; after failures it is tried again at {_when(now.next_try)}"
    return "is due"


def status() -> CertificateStatus:
    """Names, issuer, days left, next renewal, last error, and what the port really serves."""
    return CertificateStatus(read_certificate_state(RealHost(), paths_from_environment()))


def issue(*, timeout_s: Timeout = None, as_json: bool = False) -> CertificateStatus:
    """Get a new certificate now, whether or not one is due, and serve it."""
    paths, host = paths_from_environment(), RealHost()
    _must_be_acme(host, paths)
    renew(host, paths, progress_on_stderr(as_json), at_once=True, timeout_s=timeout_s)
    return CertificateStatus(read_certificate_state(host, paths))


def renew_if_due(*, timeout_s: Timeout = None, as_json: bool = False) -> Summary:
    """Get a new certificate if a third of its life or less is left; a timer runs this hourly."""
    paths, host = paths_from_environment(), RealHost()
    done = renew(host, paths, progress_on_stderr(as_json), timeout_s=timeout_s)
    data = {
        "obtained": done.obtained,
        "exchanged": done.exchanged,
        "waits_until": done.waits_until.isoformat() if done.waits_until else None,
    }
    return Summary((_told(done),), data)


def _told(done: Renewed) -> str:
    if done.obtained:
        return "a new certificate is served"
    if done.exchanged:
        return "the certificate that is at hand is served now"
    if done.waits_until:
        return "a new certificate is due; after failures it is asked for again at " + _when(
            done.waits_until
        )
    return "nothing to do: no certificate is due"


def revoke(
    *,
    reason: Annotated[str, Option("--reason", f"Why: {', '.join(REASONS)}.")] = UNSPECIFIED,
    replace: Annotated[bool, Option("--replace/--no-replace", "Serve a new one first.")] = True,
    timeout_s: Timeout = None,
    as_json: bool = False,
) -> Summary:
    """Have the authority revoke the certificate; a new one, with another key, is served first.

    Where it fails, the next run goes on with the same certificate.
    """
    paths, host = paths_from_environment(), RealHost()
    if reason not in REASONS:
        raise TljhError(
            f"there is no reason {reason} to revoke a certificate",
            why=f"there are {', '.join(REASONS)}",
            fix="sudo tljh cert revoke --reason keycompromise",
            exit_code=Exit.USAGE,
        )
    done = revoke_certificate(
        host, paths, progress_on_stderr(as_json), reason, replace=replace, timeout_s=timeout_s
    )
    after = "it is not served any more"
    if done.is_served:
        after = "it is served until a new one comes, within the hour; now: sudo tljh cert issue"
    return Summary(
        (f"the certificate {done.about.serial} is revoked; {after}",),
        {
            "serial": done.about.serial,
            "names": list(done.about.names),
            "replaced": not done.is_served,
        },
    )


@dataclass(frozen=True)
class Checked:
    """What was looked at before asking an authority; errors are raised instead."""

    names: tuple[str, ...]
    doubts: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"names": list(self.names), "doubts": list(self.doubts)}

    def as_text(self) -> str:
        if not self.doubts:
            return f"nothing stands against a certificate for {', '.join(self.names)}"
        return "\n".join(f"doubtful: {one}" for one in self.doubts)


def check() -> Checked:
    """Look at what config.yaml asks for (names, DNS, port 80, clock, files); asks for nothing."""
    from tljh.certificates.acme import acme_source

    paths, host = paths_from_environment(), RealHost()
    config = load_configuration(host, paths, configuration_bytes(host, paths))
    acme = config.https.letsencrypt
    mode = config.https.effective_mode
    if mode not in (None, "letsencrypt"):
        raise TljhError(
            f"there is nothing to check: https.mode is {mode}, which asks no authority",
            why="this looks at what stands against a certificate by Let's Encrypt",
            fix="what is served: tljh cert status",
        )
    if not acme.domains:
        raise TljhError(
            "there is nothing to check: https.letsencrypt.domains is empty",
            fix="sudo tljh-config add-item https.letsencrypt.domains hub.example.org",
        )
    environment = paths.prefix / (host.readlink(paths.hub) or "hub")
    source = acme_source(config, paths, environment)
    return Checked(source.names, tuple(source.preflight(host)))


def _must_be_acme(host: RealHost, paths: Paths) -> None:
    if read_applied(host, paths).source is None:
        raise TljhError(
            [
                Finding(
                    "no certificate comes from Let's Encrypt here",
                    why="https.mode, as it was applied, is another one, or HTTPS is off",
                    fix="set https.letsencrypt.domains and https.enabled, then: "
                    "sudo tljh-config reload",
                )
            ]
        )
