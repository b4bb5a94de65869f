"""The cookie with which a browser enters a user's servers, and the proxy's rule that asks for it.

A page of bob's server acts in the name of its visitor, because it shares the site with the hub and
with the visitor's own server. So the proxy passes nothing of a browser to bob's program before the
hub has set this cookie: for bob at once, for other users after a warning. The value belongs to one
visitor at the servers of one owner. It changes when the visitor logs out, and the rule with it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

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


def entry_rule(values: Iterable[str]) -> str:
    """Return the part of a rule of Traefik that lets in browsers with one of the values."""
    choices = "|".join(sorted(values)) or "nobody"
    cookie = f"HeaderRegexp(`Cookie`, `(^|;) *{COOKIE}=({choices})(;|$)`)"
    return f"( {cookie} || {_WITHOUT_COOKIE} )"
