"""The cookie with which a browser enters a user's servers, and the proxy's rule that asks for it.

A page of bob's server acts in the name of its visitor, because it shares the site with the hub and
with the visitor's own server. So the proxy passes nothing of a browser to bob's program before the
hub has set this cookie: for bob at once, for other users after a warning. The value belongs to one
visitor at the servers of one owner. It changes when the visitor logs out, and the rule with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import quote

COOKIE = "tljh-entry"


# Programs send tokens in this header. No link, form or frame of a page can set it. A script of a
# page elsewhere can, if bob's program allows it, and bob's answer could then set cookies. Over
# HTTPS, browsers tell such requests from those of programs. Before them they send OPTIONS without
# cookies, and take none from its answer.
_OF_PROGRAMS = "HeaderRegexp(`Authorization`, `(?i)^(token|bearer) .`)"
_OF_BROWSERS = "HeaderRegexp(`Sec-Fetch-Site`, `.`)"
_WITHOUT_COOKIE = f"({_OF_PROGRAMS} && !{_OF_BROWSERS}) || Method(`OPTIONS`)"


def entry_value(secret: bytes, cookie_id: str, owner: str) -> str:
    """Return the cookie's value for a visitor, whose sessions have `cookie_id`."""
    text = f"entry {cookie_id} {owner}"
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def entry_rule(values: Iterable[str], session: str) -> str:
    """Return the part of a rule of Traefik that lets in browsers with one of the values.

    `session` is the name of the server's own cookie. With two of them, one is of a page elsewhere:
    the hub deletes it first (`tljh.hub.process.entry_pages.OutsideHandler`).
    """
    choices = "|".join(sorted(values)) or "nobody"
    entry = _either(f"{COOKIE}=({choices})(;|$)")
    pair = _either(f"{re.escape(session)}=.*; {re.escape(session)}=")
    return f"( ( {entry} && !( {pair} ) ) || {_WITHOUT_COOKIE} )"


def _either(pattern: str) -> str:
    """Return the rule for a cookie at the begin of the header, or after another one.

    Traefik compares it with every request. Go looks for a pattern that begins with a text at the
    speed of a search for that text, and for one with `(^|; )` letter by letter.
    """
    begins, follows = (f"HeaderRegexp(`Cookie`, `{mark}{pattern}`)" for mark in ("^", "; "))
    return f"( {begins} || {follows} )"


def session_cookie(owner: str, server_name: str) -> str:
    """Return the name of the cookie in which a user's server keeps the session of a visitor."""
    # JupyterHub names its OAuth client in the same way (jupyterhub.user.User.new_spawner).
    return f"jupyterhub-user-{quote(owner)}" + (f"-{quote(server_name)}" if server_name else "")
