"""Test the configured login as far as possible without a user: `tljh auth check` runs this.

    TLJH_APPLIED=DIR <hub environment>/bin/python -m tljh.hub.login_trial

loads the configuration as the hub would, connects to the configured provider, directory or PAM
service, and prints the results as JSON. `try_login` runs it on a candidate.
"""

from __future__ import annotations

import contextlib
import grp
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlparse

from tljh.base.errors import TljhError
from tljh.base.paths import Paths, get_paths
from tljh.host.interface import Host, HostReader, Response
from tljh.settings.login_providers import OAUTH, Provider, find_provider
from tljh.settings.login_rules import get_trait

if TYPE_CHECKING:
    from tljh.engine.facts import Facts
    from tljh.settings.root import Config

TIMEOUT_S = 90.0

# A provider checks the client first and the code second. So an answer about the code, which it
# never issued, proves that it accepts the client.
CLIENT_IS_KNOWN = ("invalid_grant", "bad_verification_code")
CLIENT_IS_REFUSED = ("invalid_client", "incorrect_client_credentials", "unauthorized_client")


@dataclass(frozen=True)
class LoginTest:
    """The result of one test; `why` and `fix` are for a test that failed."""

    what: str
    is_fine: bool
    why: str | None = None
    fix: str | None = None


def try_login(host: Host, paths: Paths, config: Config, facts: Facts) -> list[LoginTest]:
    """Have the hub's own Python test the login of a candidate configuration."""
    from tljh.hub.candidate import build_candidate, run_like_the_hub

    with build_candidate(host, paths, config, facts) as applied:
        answer = run_like_the_hub(
            host, paths, facts, applied, "tljh.hub.login_trial", timeout_s=TIMEOUT_S
        )
    try:
        return [LoginTest(**item) for item in json.loads(answer.out.strip().splitlines()[-1])]
    except (ValueError, IndexError, TypeError):
        last_lines = "\n".join(answer.err.strip().splitlines()[-8:])
        raise TljhError("the login could not be tested", why=last_lines) from None


def run_tests(c: Any, paths: Paths, host: HostReader) -> Iterator[LoginTest]:
    """Test what the configured login needs: addresses, credentials, directories.

    Stops at errors with which the hub would not start.
    """
    from tljh.hub.config_check import check_configuration
    from tljh.hub.process.authenticator_choice import choose_authenticator

    errors, _ = check_configuration(paths)
    for finding in errors:
        yield LoginTest(finding.what, False, finding.why, finding.fix)
    if errors:
        return
    yield LoginTest("the settings are complete", True)
    chosen: Any = choose_authenticator(c)
    classes = tuple(base.__name__ for base in chosen.__mro__)
    provider = next(filter(None, map(find_provider, classes)), None)
    if provider is None:
        return
    if OAUTH in classes:
        yield from _test_oauth(chosen(config=c), host)
    elif provider.name == "ldap":
        yield from _test_ldap(chosen(config=c))
    elif provider.name == "pam":
        yield from _test_pam(chosen(config=c), host)
    elif provider.name == "lti13":
        yield from _test_lti(get_trait(c, classes, "jwks_endpoint"), host)
    elif provider.name == "dummy":
        yield _open_to_all(provider)


def _open_to_all(provider: Provider) -> LoginTest:
    what = "a login is allowed under any name"
    return LoginTest(what, False, fix=f"{provider.name} is for tests only: tljh auth describe")


def _test_oauth(authenticator: Any, host: HostReader) -> Iterator[LoginTest]:
    for name in ("authorize_url", "token_url", "userdata_url"):
        url = str(getattr(authenticator, name, "") or "")
        if url:
            yield _judge_answer(name, url, host.http("GET", url))
    if authenticator.token_url:
        yield _test_client(authenticator, host)
    if authenticator.oauth_callback_url:
        yield LoginTest(f"users return to {authenticator.oauth_callback_url}", True)


def _judge_answer(name: str, url: str, answer: Response) -> LoginTest:
    place = f"{name} at {urlparse(url).netloc}"
    if answer.status == 0:
        return LoginTest(f"{place} cannot be reached", False, answer.text, "check the address, and "
                   "whether this machine reaches it")  # fmt: skip
    if answer.status == 404:
        return LoginTest(
            f"{place} does not exist", False, f"{url} answered 404", "check the address"
        )
    return LoginTest(f"{place} answers", True)


def _test_client(authenticator: Any, host: HostReader) -> LoginTest:
    """Check an OAuth client's id and secret: ask the provider to exchange a made-up code.

    CLIENT_IS_KNOWN has the answers to a known client.
    """
    body = {
        "grant_type": "authorization_code",
        "code": "tljh-auth-check",
        "redirect_uri": authenticator.oauth_callback_url or "https://localhost/hub/oauth_callback",
        "client_id": authenticator.client_id,
        "client_secret": authenticator.client_secret,
    }
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = host.http("POST", authenticator.token_url, headers=headers, body=urlencode(body))
    if any(word in answer.text for word in CLIENT_IS_REFUSED):
        return LoginTest(
            "the provider refuses client_id and client_secret",
            False,
            answer.text[:200],
            "copy both again from the provider's page",
        )
    if any(word in answer.text for word in CLIENT_IS_KNOWN):
        return LoginTest("the provider knows client_id and client_secret", True)
    return LoginTest("client_id and client_secret can only be checked by a login", True)


def _test_ldap(authenticator: Any) -> Iterator[LoginTest]:
    place = f"the directory at {authenticator.server_address}"
    name = authenticator.lookup_dn_search_user or None
    try:
        connection = authenticator.get_connection(
            userdn=name, password=authenticator.lookup_dn_search_password or None
        )
    except Exception as error:
        yield LoginTest(
            f"{place} cannot be reached",
            False,
            f"{type(error).__name__}: {error}",
            "check server_address, server_port and tls_strategy (before_bind, on_connect, "
            "insecure)",
        )
        return
    yield LoginTest(f"{place} answers", True)
    if connection is None:
        yield LoginTest(
            f"it refuses {name or 'an anonymous connection'}",
            name is None and not authenticator.lookup_dn,
            fix="check lookup_dn_search_user and lookup_dn_search_password",
        )
    elif authenticator.lookup_dn:
        yield _search(authenticator, connection)


def _search(authenticator: Any, connection: Any) -> LoginTest:
    base = authenticator.user_search_base
    with contextlib.suppress(Exception):
        connection.search(
            search_base=base,
            search_filter=f"({authenticator.user_attribute}=*)",
            attributes=[],
            size_limit=1,
        )
    if connection.entries:
        return LoginTest(f"there are users below {base}", True)
    return LoginTest(
        f"no user with {authenticator.user_attribute} is found below {base}",
        False,
        fix="check user_search_base and user_attribute, and what the lookup user may read",
    )


def _test_pam(authenticator: Any, host: HostReader) -> Iterator[LoginTest]:
    service = f"/etc/pam.d/{authenticator.service}"
    if host.info(Path(service)) is not None:
        yield LoginTest(f"PAM has the service {authenticator.service}", True)
    else:
        yield LoginTest(
            f"PAM has no service {authenticator.service}",
            False,
            f"{service} does not exist, so PAM uses /etc/pam.d/other, which refuses by default",
            "sudo tljh-config set auth.PAMAuthenticator.service NAME, one of /etc/pam.d",
        )
    for name in sorted({*authenticator.allowed_groups, *authenticator.admin_groups}):
        try:
            grp.getgrnam(name)
            yield LoginTest(f"there is a group {name}", True)
        except KeyError:
            yield LoginTest(f"there is no group {name}", False, fix=f"sudo groupadd {quote(name)}")


def _test_lti(url: Any, host: HostReader) -> Iterator[LoginTest]:
    answer = host.http("GET", str(url))
    result = _judge_answer("jwks_endpoint", str(url), answer)
    if result.is_fine and '"keys"' not in answer.text:
        result = LoginTest(
            "jwks_endpoint has no keys", False, answer.text[:200], "check jwks_endpoint"
        )
    yield result


def main() -> int:
    from tljh.host.real import RealHost
    from tljh.hub.process.load_config import make_configuration

    paths = get_paths()
    try:
        results = list(run_tests(make_configuration(paths), paths, RealHost()))
    except TljhError as error:
        results = [LoginTest(each.what, False, each.why, each.fix) for each in error.findings]
    print(json.dumps([asdict(result) for result in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
