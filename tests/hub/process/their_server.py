"""A program that a user runs in place of the own server: it answers all, and says what it saw."""

import json
import os
from urllib.parse import urlsplit

import tornado.ioloop
import tornado.web
import tornado.websocket

SERVICE = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
SEEN = []


class Everything(tornado.web.RequestHandler):
    def prepare(self):
        SEEN.append({"path": self.request.uri, "headers": dict(self.request.headers)})

    def get(self, path):
        self.set_header("Service-Worker-Allowed", "/")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Clear-Site-Data", '"*"')
        self.set_header("Cache-Control", "no-store")
        if path.endswith(".js"):
            self.set_header("Content-Type", "text/javascript")
            self.write("self.addEventListener('fetch', e => e.respondWith(new Response('taken')))")
        elif path == "seen":
            self.write(json.dumps(SEEN))
        else:
            self.write(f"<!doctype html><title>server</title><p>program at {PREFIX}")

    def post(self, path):
        self.write(f"posted {self.request.body.decode()} to {path}")

    put = post

    def check_xsrf_cookie(self):
        pass


class Echo(tornado.websocket.WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)

    def check_origin(self, origin):
        return True


class Redirected(tornado.web.RequestHandler):
    def get(self):
        self.redirect(PREFIX)


tornado.web.Application(
    [(PREFIX[:-1], Redirected), (f"{PREFIX}socket", Echo), (f"{PREFIX}(.*)", Everything)]
).listen(SERVICE.port, SERVICE.hostname)
tornado.ioloop.IOLoop.current().start()
