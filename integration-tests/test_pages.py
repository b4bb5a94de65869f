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


@pytest.fixture(scope="module")
def site(installed_shared, tmp_path_factory):
    """Return the machine with HTTPS and bob's program, and the certificate of its authority."""
    machine = installed_shared
    machine.run("cat > /srv/program.py && chmod 644 /srv/program.py", input=PROGRAM)
    machine.run(f"cat > {DROP_IN}", input=HOOK)
    machine.run("tljh-config set https.mode internal && tljh-config set https.enabled true")
    import_users(machine, ("ann", "bob"), PASSWORD)
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
        page.wait_for_url(re.compile(r"/hub/spawn-pending/|^chrome-error:"))
        if "/hub/spawn-pending/" in page.url:
            return
    raise AssertionError(f"the login of {name} ends at {page.url}")


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
        page.goto("/hub/token")
        page.get_by_role("button", name="Request new API token").click()
        expect(page.locator("#token-result")).not_to_be_empty()
    assert "ann enters the server of bob" in machine.run("journalctl -u jupyterhub").stdout
