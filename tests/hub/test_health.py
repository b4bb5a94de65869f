"""Health of the hub while users wait for it too."""

from __future__ import annotations

import pytest

from tests.hub.test_traceback_log import TEMPLATE
from tljh.base.errors import TljhError
from tljh.base.well_known import INSTANCE_HEADER
from tljh.host.fake import FakeHost
from tljh.host.interface import Response, Result
from tljh.hub.health import HealthUrls, get_health_urls, wait_until_healthy
from tljh.settings.load import load

URLS = HealthUrls("http://127.0.0.1:1/hub/health", "http://127.0.0.1/hub/login", "this-one")
SOUND = Response(200, "", {INSTANCE_HEADER: "this-one"})


@pytest.fixture
def host():
    return FakeHost(responses={URLS.hub: SOUND, URLS.public: SOUND})


def test_a_hub_that_answers_earlier_requests_first_is_waited_for(host):
    host.answer_takes_s[URLS.hub] = 25
    host.answer_takes_s[URLS.public] = 15
    wait_until_healthy(host, URLS, 60)


def test_a_silent_hub_is_unhealthy_at_the_deadline(host):
    host.answer_takes_s[URLS.public] = 1000
    with pytest.raises(TljhError, match="after 60 s"):
        wait_until_healthy(host, URLS, 60)
    assert 60 <= host.clock_s <= 66


def test_a_hub_that_answers_with_an_error_is_blamed_with_its_own_traceback(host, monkeypatch):
    host.responses[URLS.public] = Response(500, "", {INSTANCE_HEADER: "this-one"})
    logs = {"jupyterhub.service": TEMPLATE, "traefik.service": "not this one"}
    monkeypatch.setattr(FakeHost, "journal", lambda self, unit, lines=20: logs[unit])
    with pytest.raises(TljhError) as caught:
        wait_until_healthy(host, URLS, 60)
    (finding,) = caught.value.findings
    assert "the hub answers http://127.0.0.1/hub/login with an error" in finding.what
    assert str(finding.where) == "/srv/templates/login.html, line 7"
    assert "unknown tag 'endblok'" in (finding.why or "")
    assert "not this one" not in str(caught.value)
    # It fails at each request, so nothing is gained by waiting longer.
    assert 10 <= host.clock_s < 20


@pytest.mark.parametrize("status", [0, 500])
def test_a_full_disk_in_the_log_is_the_cause_with_its_fix(host, monkeypatch, status):
    marked = {INSTANCE_HEADER: "this-one"} if status else {}
    host.responses[URLS.hub] = Response(status, "refused", marked)
    line = "sqlite3.OperationalError: database or disk is full"
    monkeypatch.setattr(FakeHost, "journal", lambda *_, **__: f"starting\n{line}\n")
    host.answers["df"] = Result(0, "Avail IFree Inodes Mounted on\n0 4 5 /opt\n")
    with pytest.raises(TljhError) as caught:
        wait_until_healthy(host, URLS, 60)
    (finding,) = caught.value.findings
    assert finding.what.endswith(": no disk space left on /opt") and finding.why == line
    assert "sudo tljh disk" in (finding.fix or "")


def test_the_proxys_page_of_a_hub_that_is_away_is_no_answer_of_another_program(host):
    host.responses[URLS.public] = Response(503, "The hub is restarting")
    with pytest.raises(TljhError, match="the proxy gets no answer from the hub"):
        wait_until_healthy(host, URLS, 60)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("", "/hub/login"),
        ("base_url: /a/\n", "/a/hub/login"),
        ("hub: {mode: no-pages-at-root}\n", "/hub/login"),
        ("hub: {mode: api-only}\n", "/hub/api/health"),
        ("base_url: /a/\nhub: {mode: api-only}\n", "/a/hub/api/health"),
        ("JupyterHub: {hub_routespec: /hub/api/}\n", "/hub/api/health"),
        ("JupyterHub: {hub_routespec: /hub}\n", "/hub/login"),
    ],
)
def test_page_that_is_checked_is_one_that_the_mode_serves(text, page):
    urls = get_health_urls(load(text.encode()), "this-one")
    assert urls.public == f"http://127.0.0.1:80{page}"
