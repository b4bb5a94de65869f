"""A page of a course that only users of the hub see: who is logged in, and a board of messages.

It needs nothing but the hub environment: JupyterHub's package has HubOAuth, and Tornado is the web
server. All that is special to the hub comes from the variables that tljh sets.
"""

import html
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler, authenticated

PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
URL = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
# The working directory is the service's own, and the only place where it can write.
MESSAGES = Path("messages.json")


def read_messages():
    return json.loads(MESSAGES.read_text()) if MESSAGES.exists() else []


class Board(HubOAuthenticated, RequestHandler):
    @authenticated
    def get(self):
        user = self.get_current_user()
        lines = "".join(f"<li>{html.escape(line)}" for line in read_messages())
        self.write(
            f"<h1>Hello {html.escape(user['name'])}</h1><ul>{lines}</ul>"
            f'<form method="post">{self.xsrf_form_html()}'
            '<input name="text"><button>Write</button></form>'
        )

    @authenticated
    def post(self):
        line = f"{self.get_current_user()['name']}: {self.get_body_argument('text')}"
        MESSAGES.write_text(json.dumps([*read_messages(), line]))
        self.redirect(PREFIX)


def main():
    application = Application(
        [
            (PREFIX, Board),
            (f"{PREFIX}oauth_callback", HubOAuthCallbackHandler),
        ],
        cookie_secret=os.urandom(32),
    )
    application.listen(URL.port, URL.hostname)
    IOLoop.current().start()


if __name__ == "__main__":
    main()
