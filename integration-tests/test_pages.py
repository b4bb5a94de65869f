"""A user's own program at the own server's port, and real browsers of its visitors, over HTTPS."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from browser import page_of
from session import HubUser, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
DROP_IN = "/opt/tljh/config/jupyterhub_config.d/bob.py"
# In place of the server of bob, who could put a program at its port as well.
HOOK = """
def own_program(spawner):
    if spawner.user.name == "bob":
        spawner.cmd = ["/opt/tljh/user/bin/python", "/srv/program.py"]

c.Spawner.pre_spawn_hook = own_program
c.JupyterHub.load_roles.append(
    {"name": "visitors", "scopes": ["access:servers!user=bob"], "users": ["ann"]}
)
"""
PROGRAM = """
import os
from urllib.parse import urlsplit
import tornado.ioloop, tornado.web

SERVICE = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
SEEN = open(os.path.expanduser("~/seen"), "a", buffering=1)

class All(tornado.web.RequestHandler):
    def get(self, path):
        if path != "api":
            print(path, self.request.headers.get("Cookie"), file=SEEN)
        self.set_header("Service-Worker-Allowed", "/")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        if path == "worker.js":
            self.set_header("Content-Type", "text/javascript")
            self.write("self.onfetch = e => e.respondWith(new Response('taken'))")
        else:
            self.write("<!doctype html><title>bob</title><h1>program of bob</h1>")

prefix = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
tornado.web.Application([(prefix + "(.*)", All)]).listen(SERVICE.port, SERVICE.hostname)
tornado.ioloop.IOLoop.current().start()
"""
ATTACKS = """async () => {
  const outcomes = {};
  const text = async (path, options) => {
    try { const a = await fetch(path, options); return [a.status, await a.text(), a.url]; }
    catch (error) { return [0, String(error), '']; }
  };
  const from = {referrer: '/hub/home', headers: {Accept: 'text/html'}};
  for (const path of ['/hub/home', '/hub/token', '/hub/user/bob/', '/hub/nosuch', '/hub/logout'])
    outcomes[path] = await text(path, from);
  outcomes.api = await text('/hub/api/user');
  outcomes.authorize = await text('/hub/api/oauth2/authorize?client_id=jupyterhub-user-ann'
    + '&response_type=code&redirect_uri=%2Fuser%2Fann%2Foauth_callback&state=x');
  for (const path of ['/hub/home', '/hub/static/js/home.js', '/hub/logo', '/hub/health']) {
    const frame = document.createElement('iframe');
    frame.src = path;
    const loaded = new Promise(done => { frame.onload = done; setTimeout(done, 4000); });
    document.body.append(frame);
    await loaded;
    try { outcomes['frame ' + path] = frame.contentDocument.cookie; }
    catch (error) { outcomes['frame ' + path] = 'out of reach'; }
  }
  for (const scope of ['/', '/hub/'])
    try { await navigator.serviceWorker.register('/user/bob/worker.js', {scope});
          outcomes['worker ' + scope] = 'registered'; }
    catch (error) { outcomes['worker ' + scope] = error.name; }
  outcomes.opened = await new Promise(done => {
    const opened = window.open('/hub/home');
    const look = n => {
      try {
        const html = opened.document.documentElement.outerHTML;
        if (html.includes('jhdata')) return done('read ' + opened.document.cookie);
      } catch (error) { return done('out of reach'); }
      if (opened.closed || n > 40) return done(opened.closed ? 'closed' : 'nothing');
      setTimeout(look, 100, n + 1);
    };
    look(0);
  });
  return outcomes;
}"""


# Of all kinds, for the pages of the hub and of ann's server, and then as many as a browser keeps.
PLANTING = """() => {
  const host = location.hostname, at_domain = /^[0-9.]+$/.test(host) ? '' : '; domain=' + host;
  const paths = ['/', '/hub', '/hub/', '/hub/login', '/hub/home', '/hub/spawn', '/user/ann',
                 '/user/ann/', '/user/ann/lab', '/user/ann/api'];
  const names = ['_xsrf', 'jupyterhub-session-id', 'jupyterhub-hub-login', 'jupyterhub-user-ann',
                 'tljh-entry', 'x'];
  for (const path of paths)
    for (const name of names)
      for (const more of ['', at_domain, '; Secure; Partitioned'])
        document.cookie = `${name}=planted; path=${path}; max-age=99999${more}`;
}"""
FILLING = """([path, size]) => {
  for (let n = 0; n < 170; n++)
    document.cookie = `many${n}=${'x'.repeat(size)}; path=${path}; max-age=99999`;
}"""


@pytest.fixture(scope="module")
def site(installed_shared, tmp_path_factory):
    """Return the machine with HTTPS and bob's program, and the certificate of its authority."""
    machine = installed_shared
    machine.run("cat > /srv/program.py && chmod 644 /srv/program.py", input=PROGRAM)
    machine.run(f"cat > {DROP_IN}", input=HOOK)
    machine.run("tljh-config set https.mode internal && tljh-config set https.enabled true")
    import_users(machine, ("ann", "bob", "boss"), PASSWORD)
    machine.run("tljh-config add-item users.admin boss")
    machine.run("tljh-config reload", timeout_s=180)
    authority = tmp_path_factory.mktemp("authority") / "ca.crt"
    machine.copy_out("/opt/tljh/state/internal-ca/ca.crt", authority)
    bob = HubUser(f"https://{machine.address()}", "bob", verify=False)
    bob.login(PASSWORD)
    assert bob.hub_api("POST", "/users/bob/server").status_code in (201, 202)
    bob.await_server(ready=True)
    return machine, authority


def log_in(page: Page, name: str) -> None:
    """Log in; once more if the browser shows its error page: HTTPS was switched on just now."""
    for _ in range(2):
        page.goto("/hub/login")
        page.get_by_label("Username").fill(name)
        page.locator("#password_input").fill(PASSWORD)
        page.locator("#login_submit").click()
        page.wait_for_url(re.compile(rf"/hub/spawn-pending/|/user/{name}/|^chrome-error:"))
        if not page.url.startswith("chrome-error:"):
            expect(page).not_to_have_title("Too many cookies")
            return
    raise AssertionError(f"the login of {name} ends at {page.url}")


def visit(page: Page, path: str) -> None:
    """Open a page; the one that deletes too many cookies goes on by itself."""
    page.goto(path)
    expect(page).not_to_have_title("Too many cookies")


def request_token(page: Page) -> None:
    # Before the page's scripts are there, the button only loads the page again.
    page.goto("/hub/token", wait_until="networkidle")
    page.get_by_role("button", name="Request new API token").click()
    expect(page.locator("#token-result")).not_to_be_empty()


def seen(machine) -> str:
    return machine.run("cat /home/jupyter-bob/seen", check=False).stdout


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_a_page_of_bob_does_nothing_in_the_name_of_ann(site):
    machine, authority = site
    with page_of(f"https://{machine.address()}", trusts=authority) as page:
        log_in(page, "ann")
        page.wait_for_url("**/user/ann/lab**")
        expect(page.get_by_text("Python 3 (ipykernel)").first).to_be_visible(timeout=90_000)
        before = seen(machine)
        page.goto("/user/bob/page")
        expect(page.get_by_role("heading", name="This is the server of bob")).to_be_visible()
        assert seen(machine) == before
        page.get_by_role("button", name="Enter the server of bob").click()
        expect(page.get_by_role("heading", name="program of bob")).to_be_visible()
        outcomes = page.evaluate(ATTACKS)
        assert all(
            "_xsrf" not in json.dumps(outcomes[path]) for path in outcomes if "frame" in path
        )
        for path in ("/hub/home", "/hub/token", "/hub/user/bob/", "/hub/nosuch", "/hub/logout"):
            assert outcomes[path][0] == 403, outcomes[path]
        assert outcomes["api"][0] == 403
        assert "code=" not in outcomes["authorize"][2]
        assert outcomes["worker /"] == outcomes["worker /hub/"] == "SecurityError"
        assert outcomes["opened"] in ("closed", "out of reach")
        # The session is still there, and the hub's own pages and scripts work.
        request_token(page)
    assert "ann enters the server of bob" in machine.run("journalctl -u jupyterhub").stdout


def enter_servers_of_bob(page: Page) -> None:
    """Open the page of bob's program; agree to the warning unless the visitor did so before."""
    page.goto("/user/bob/page")
    button = page.get_by_role("button", name="Enter the server of bob")
    inside = page.get_by_role("heading", name="program of bob")
    expect(button.or_(inside)).to_be_visible()
    if button.is_visible():
        button.click()
    expect(inside).to_be_visible()


def use_ones_own(page: Page, name: str) -> None:
    """Open the hub's pages and one's own server, with a form and a request of a script."""
    request_token(page)
    page.goto(f"/user/{name}/lab")
    expect(page.get_by_text("Python 3 (ipykernel)").first).to_be_visible(timeout=90_000)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_an_admin_sees_the_warning_before_bobs_program_sees_the_admin(site):
    machine, authority = site
    base = f"https://{machine.address()}"
    with page_of(base, trusts=authority) as page:
        log_in(page, "boss")
        page.wait_for_url("**/user/boss/lab**")
        before = seen(machine)
        page.goto("/hub/admin")
        page.goto("/user/bob/page")
        expect(page.get_by_role("heading", name="This is the server of bob")).to_be_visible()
        assert seen(machine) == before
        page.get_by_role("button", name="Enter the server of bob").click()
        expect(page.get_by_role("heading", name="program of bob")).to_be_visible()
        outcomes = page.evaluate(ATTACKS)
        for path in ("/hub/home", "/hub/token", "/hub/user/bob/", "/hub/nosuch", "/hub/logout"):
            assert outcomes[path][0] == 403, outcomes[path]
        assert outcomes["api"][0] == 403
        assert outcomes["opened"] in ("closed", "out of reach")
        page.evaluate(PLANTING)
        page.goto("/hub/admin")
        expect(page.get_by_text("Add Users").first).to_be_visible()
    assert "boss enters the server of bob" in machine.run("journalctl -u jupyterhub").stdout


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_cookies_that_a_page_planted_keep_nobody_out(site, scheme):
    machine, authority = site
    if scheme == "http":
        machine.run("tljh-config set https.enabled false && tljh-config reload", timeout_s=180)
    names = {"hub.lab.test": machine.address()}
    host = machine.address() if scheme == "https" else "hub.lab.test"
    for path, size in (None, 0), ("/hub/login", 4000), ("/user/ann/", 4000), ("/", 1500):
        with page_of(f"{scheme}://{host}", trusts=authority, names=names) as page:
            log_in(page, "ann")
            page.wait_for_url("**/user/ann/lab**")
            enter_servers_of_bob(page)
            page.evaluate(PLANTING)
            if path is None:
                use_ones_own(page, "ann")
                visit(page, "/hub/logout")
                log_in(page, "ann")
                enter_servers_of_bob(page)
                continue
            page.evaluate(FILLING, [path, size])
            visit(page, "/hub/home")
            visit(page, "/hub/logout")
            log_in(page, "ann")
            use_ones_own(page, "ann")
            visit(page, "/hub/logout")
            # What is left is less than programs refuse.
            cookies = page.context.cookies()
            left = [cookie for cookie in cookies if cookie["name"].startswith("many")]
            assert sum(len(cookie["value"]) for cookie in left) < 3 * 32_000
