"""Download of one locked wheel from a package index (PEP 503 and PEP 691)."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from tljh.base.errors import TljhError
from tljh.base.package_indexes import PackageIndexes
from tljh_installer.network import FetchError, fetch, host_of, without_password

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
FIX_INDEX = (
    "name a mirror that this machine reaches with PIP_INDEX_URL (or index-url in /etc/pip.conf), "
    "a proxy with HTTPS_PROXY, its certificates with SSL_CERT_FILE"
)


@dataclass(frozen=True)
class LockedPackage:
    """One version of one package, with the sha256 of every file that is accepted for it."""

    name: str
    version: str
    hashes: frozenset[str]
    marker: str = ""


@dataclass(frozen=True)
class IndexFile:
    """A file that an index offers; `sha256` is the index's own claim, if any."""

    name: str
    url: str
    sha256: str | None = None


def parse_lock(text: str) -> list[LockedPackage]:
    """Parse a requirements file as uv writes it: name==version ; marker, then the hashes."""
    packages = []
    for entry in text.replace("\\\n", " ").splitlines():
        entry = entry.partition("#")[0].strip()
        match = re.match(r"([A-Za-z0-9._-]+)==(\S+)\s*(?:;(.*?))?(?=\s--hash|$)", entry)
        if match:
            name, version, marker = match.groups()
            hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
            packages.append(LockedPackage(name, version, hashes, (marker or "").strip()))
    return packages


def without_hashes(lock: str) -> str:
    """Return the lock as constraints, for packages in addition to it."""
    return "".join(
        f"{package.name}=={package.version}"
        + (f" ; {package.marker}\n" if package.marker else "\n")
        for package in parse_lock(lock)
    )


class _LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def parse_index_page(url: str, content_type: str, body: bytes) -> list[IndexFile]:
    """Return the files on a project's page, in either of the two formats."""
    if "json" in content_type:
        try:
            listed = json.loads(body)["files"]
        except (ValueError, KeyError, TypeError) as error:
            raise FetchError(url, f"sent a page that cannot be read ({error})") from error
        return [
            IndexFile(
                file["filename"],
                urllib.parse.urljoin(url, file["url"]),
                file.get("hashes", {}).get("sha256"),
            )
            for file in listed
        ]
    parser = _LinkParser()
    parser.feed(body.decode("utf-8", "replace"))
    return [_index_file(urllib.parse.urljoin(url, link)) for link in parser.links]


def _index_file(url: str) -> IndexFile:
    address, fragment = urllib.parse.urldefrag(url)
    name = urllib.parse.unquote(urllib.parse.urlsplit(address).path.rpartition("/")[2])
    claimed = re.fullmatch(r"sha256=([0-9a-f]{64})", fragment)
    return IndexFile(name, address, claimed.group(1) if claimed else None)


def fits(filename: str, package: LockedPackage, architecture: str) -> bool:
    """Return whether a file is a wheel of `package` for this machine's architecture."""
    match = re.fullmatch(r"([^-]+)-([^-]+)(?:-\d[^-]*)?-([^-]+)-([^-]+)-([^-]+)\.whl", filename)
    if not match:
        return False
    name, version, _, _, platforms = match.groups()
    has_name = re.sub(r"[-_.]+", "-", name).lower() == re.sub(r"[-_.]+", "-", package.name).lower()
    return (
        has_name
        and version == package.version
        and any(
            platform == "any"
            or (platform.startswith("manylinux") and platform.endswith(architecture))
            for platform in platforms.split(".")
        )
    )


@dataclass
class PackagePages:
    """The pages of projects in all sources, each downloaded once.

    The preflight reads a page to check that the index answers; the later download reuses it.
    """

    sources: PackageIndexes
    cache: dict[str, list[IndexFile]] = field(default_factory=dict)
    offsets_s: list[float] = field(default_factory=list)

    def urls(self, project: str) -> Iterator[str]:
        """Yield the page of a project in each index, then every find-links location."""
        for index in self.sources.indexes:
            yield index.rstrip("/") + f"/{project}/"
        for links in self.sources.find_links:
            yield links if "://" in links else "file://" + urllib.parse.quote(links)

    def read(self, url: str) -> list[IndexFile]:
        """Return the files on a page. Raises FetchError."""
        if url not in self.cache:
            page = fetch(self.sources, url, headers={"Accept": _ACCEPT})
            if page.date_offset_s is not None:
                self.offsets_s.append(page.date_offset_s)
            self.cache[url] = parse_index_page(page.url, page.content_type, page.body)
        return self.cache[url]

    def problems(self, project: str) -> dict[str, str]:
        """Read every page of a project; return the sources that failed, with the reason.

        An index that lacks the project is a problem only if all sources lack it.
        """
        failed: dict[str, str] = {}
        missing: dict[str, str] = {}
        is_offered = False
        for url in self.urls(project):
            try:
                files = self.read(url)
                is_offered |= any(file.name.startswith(f"{project}-") for file in files)
            except FetchError as error:
                (missing if error.is_missing else failed)[without_password(url)] = error.reason
        return failed if is_offered else {**failed, **missing}

    def candidates(self, package: LockedPackage, architecture: str) -> list[IndexFile]:
        """Return the files that may be `package`; those with a locked hash come first."""
        files = []
        for url in self.urls(package.name):
            try:
                files += self.read(url)
            except FetchError:
                continue
        fitting = [file for file in files if fits(file.name, package, architecture)]
        return sorted(fitting, key=lambda file: file.sha256 not in package.hashes)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def download_locked(pages: PackagePages, package: LockedPackage, architecture: str) -> bytes:
    """Download the wheel of `package` and check its hash. Raises TljhError."""
    candidates = pages.candidates(package, architecture)
    sources = ", ".join(without_password(url) for url in pages.urls(package.name)) or "no index"
    if not candidates:
        problems: Mapping[str, str] = pages.problems(package.name)
        raise TljhError(
            f"{package.name} {package.version} for {architecture} cannot be found",
            why="\n".join(f"{url} {reason}" for url, reason in problems.items())
            or f"not offered by {sources}",
            fix=FIX_INDEX,
        )
    file = candidates[0]
    try:
        data = fetch(pages.sources, file.url).body
    except FetchError as error:
        raise TljhError(
            f"{file.name} cannot be downloaded from {host_of(file.url)}",
            why=f"{error.url} {error.reason}",
            fix=f"run this again; or {FIX_INDEX}",
        ) from error
    digest = sha256_of(data)
    if digest not in package.hashes:
        raise TljhError(
            f"{file.name} from {host_of(file.url)} is not the file that was locked",
            why=f"its sha256 is {digest}, which hub.lock does not list",
            fix="it was changed on its way here: check that index, then run this again",
        )
    return data
