"""Headers that delete cookies of which only the names are known.

A request has the names and values of cookies, not the path and domain that a page gave them. So a
cookie is deleted for each path and domain with which the browser would have sent it. Standard
library only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

# A browser gives a page's cookie at most the domains above its host; hosts have few of them.
MOST_DOMAINS = 5


@dataclass(frozen=True)
class CookiePlace:
    """Where a request went: its path as the browser sent it, its `Host`, and whether by HTTPS."""

    path: str
    host: str
    is_https: bool

    @property
    def paths(self) -> list[str]:
        """The paths of cookies that the browser sends with the request, the shortest first."""
        paths = ["/"]
        for end, character in enumerate(self.path):
            if character == "/" and end:
                paths += [self.path[:end], self.path[: end + 1]]
        paths.append(self.path)
        # A cookie's attribute ends at a semicolon, so no cookie has such a path.
        return [path for path in dict.fromkeys(paths) if path.startswith("/") and ";" not in path]

    @property
    def domains(self) -> list[str]:
        """The domains of cookies that the browser sends; empty for the host alone."""
        name = self.host.rpartition("]")[2].partition(":")[0].strip(".").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            labels = name.split(".")
            count = min(len(labels) - 1, MOST_DOMAINS)
            return ["", *(".".join(labels[start:]) for start in range(count))]
        return [""]


def list_names(cookie_header: str) -> list[str]:
    """Return the names of the cookies in a header, in its order, with repetitions."""
    chunks = (chunk.strip() for chunk in cookie_header.split(";"))
    return [chunk.partition("=")[0].strip() if "=" in chunk else "" for chunk in chunks if chunk]


def deletion_headers(
    name: str,
    place: CookiePlace,
    *,
    keep: str | None = None,
    keep_domain: str = "",
    at_root: bool = True,
) -> Iterator[str]:
    """Yield the values of `Set-Cookie` that delete each cookie of a name that a request had.

    The cookie with the path `keep` and the domain `keep_domain` stays, and without `at_root` those
    with the path `/`.
    """
    # Browsers ignore the header without it.
    is_secure = name.lower().startswith(("__host-", "__secure-"))
    for path in place.paths[not at_root :]:
        for domain in place.domains:
            attributes = f"Path={path}; Max-Age=0" + (f"; Domain={domain}" if domain else "")
            # Without a value, browsers ignore the header of a cookie without a name.
            if (path, domain) != (keep, keep_domain):
                yield f"{name}=x; {attributes}" + ("; Secure" if is_secure else "")
            if place.is_https:
                yield f"{name}=x; {attributes}; Secure; Partitioned"
