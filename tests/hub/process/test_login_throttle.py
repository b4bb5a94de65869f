"""The throttle of bad logins: it stops attackers and does not lock out a classroom."""

from __future__ import annotations

import ipaddress
import threading

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.hub.process.login_guard import make_throttle_key
from tljh.hub.process.login_throttle import Throttle, ThrottleLimits, find_client_address

SCHOOL, ELSEWHERE = "203.0.113.7", "198.51.100.9"


class Clock:
    def __init__(self) -> None:
        self.time_s = 1000.0

    def __call__(self) -> float:
        return self.time_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(clock):
    return Throttle(ThrottleLimits(3, 10, 5, 600), clock)


def fail(throttle, name, address, times=1):
    for _ in range(times):
        throttle.failed(name, address)


def test_a_name_waits_after_a_few_bad_logins_until_the_first_is_forgotten(throttle, clock):
    fail(throttle, "a", SCHOOL)
    clock.time_s += 100
    fail(throttle, "a", SCHOOL, 2)
    assert throttle.wait_s("a", SCHOOL) == 500
    clock.time_s += 500
    assert throttle.wait_s("a", SCHOOL) == 0


def test_one_pupils_mistakes_hold_up_no_other_user_in_the_room(throttle):
    fail(throttle, "a", SCHOOL, 3)
    assert throttle.wait_s("b", SCHOOL) == 0
    assert throttle.wait_s("a", ELSEWHERE) == 0


def test_a_class_whose_pupils_each_mistype_once_never_waits(throttle):
    for pupil in range(200):
        assert throttle.wait_s(f"pupil{pupil}", SCHOOL) == 0
        throttle.failed(f"pupil{pupil}", SCHOOL)
        assert throttle.wait_s(f"pupil{pupil}", SCHOOL) == 0
        throttle.succeeded(f"pupil{pupil}", SCHOOL)


def test_an_address_that_tries_many_names_waits_but_not_its_regular_users(throttle):
    throttle.succeeded("regular", SCHOOL)
    for name in range(5):
        fail(throttle, f"name{name}", SCHOOL)
    assert throttle.wait_s("another", SCHOOL) > 0
    assert throttle.wait_s("regular", SCHOOL) == 0
    assert throttle.wait_s("another", ELSEWHERE) == 0


def test_guessing_one_name_from_many_addresses_ends_but_not_for_its_user(throttle):
    throttle.succeeded("victim", SCHOOL)
    for number in range(10):
        fail(throttle, "victim", f"198.51.100.{number}")
    assert throttle.wait_s("victim", "198.51.100.77") > 0
    assert throttle.wait_s("victim", SCHOOL) == 0


def test_a_good_login_forgets_the_mistakes_before_it(throttle):
    fail(throttle, "a", SCHOOL, 2)
    throttle.succeeded("a", SCHOOL)
    fail(throttle, "a", SCHOOL, 2)
    assert throttle.wait_s("a", SCHOOL) == 0


@pytest.mark.parametrize(
    "same",
    [("Alice", "alice"), ("ＡLICE", "alice"), ("alice  b", " alice b "), ("STRASSE", "straße")],
)
def test_spellings_of_one_name_count_together(same):
    assert make_throttle_key(same[0]) == make_throttle_key(same[1])


def test_an_address_is_the_one_that_the_proxy_saw_not_one_that_a_client_sent():
    load_balancer = [ipaddress.ip_network("10.0.0.0/8")]
    assert find_client_address({"X-Forwarded-For": "1.1.1.1, 203.0.113.7"}) == SCHOOL
    assert find_client_address({"X-Forwarded-For": "1.1.1.1, 203.0.113.7, 10.1.2.3"}) == "10.1.2.3"
    assert (
        find_client_address({"X-Forwarded-For": "1.1.1.1, 203.0.113.7, 10.1.2.3"}, load_balancer)
        == SCHOOL
    )
    assert (
        find_client_address({})
        == find_client_address({"X-Forwarded-For": "rubbish"})
        == "this machine"
    )


def test_an_ipv6_subscriber_is_one_address():
    seen = {find_client_address({"X-Forwarded-For": f"2001:db8:1:2::{n}"}) for n in range(1, 9)}
    assert seen == {"2001:db8:1:2::/64"}
    assert find_client_address({"X-Forwarded-For": "::ffff:203.0.113.7"}) == SCHOOL


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Start one hub for all tests: each uses other names than the rest."""
    text = (
        "users: {allowed: [alice, bob, carol]}\n"
        "auth: {type: shared-password, SharedPasswordAuthenticator: {user_password: tea-time}}\n"
    )
    with running_hub(tmp_path_factory.mktemp("hub"), text) as hub:
        yield hub


def test_the_hub_answers_429_on_its_form_and_other_users_log_in(hub):
    answers = [Browser(hub).login("alice", "guess").status_code for _ in range(6)]
    assert answers == [403] * 5 + [429]
    last = Browser(hub).login("alice", "tea-time")
    assert last.status_code == 429
    assert 0 < int(last.headers["Retry-After"]) <= 600
    assert "Too many bad logins. Try again in 10 minutes." in last.text
    assert 'name="password"' in last.text
    assert Browser(hub).login("bob", "tea-time").status_code == 302
    assert Browser(hub, address=ELSEWHERE).login("alice", "tea-time").status_code == 302


def test_guesses_sent_all_at_once_are_counted_one_by_one(hub):
    answers = []

    def guess():
        answers.append(Browser(hub).login("carol", "guess").status_code)

    guessers = [threading.Thread(target=guess) for _ in range(20)]
    for guesser in guessers:
        guesser.start()
    for guesser in guessers:
        guesser.join()
    assert sorted(answers) == [403] * 5 + [429] * 15


@pytest.mark.parametrize("fields", [{}, {"username": "alice"}, {"password": "x"}])
def test_a_form_without_a_name_or_password_is_a_bad_request(hub, fields):
    assert Browser(hub).post("/login", **fields).status_code == 400
