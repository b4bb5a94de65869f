"""Rows of addresses, certificates, the database and the hub's pages."""

from __future__ import annotations

import html
from base64 import b64encode
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tljh.export.row import Row, rows_without
from tljh.export.values import Values
from tljh.settings.derived import get_hub_routespec

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

# The image of the chart's hub has these drivers.
_DRIVERS = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}
_KINDS = {"postgresql": "postgres", "mysql": "mysql"}
# The hub of tljh cannot read the schema of the chart's, so both have a database.
DATABASE_SUFFIX = "_z2jh"

# A ConfigMap or Secret holds at most 1 MiB, and Base64 takes a third more.
_MOST_LOGO_BYTES = 500_000
_LOGO_DIRECTORY = "/usr/local/share/tljh"


def _put_base_url(hub: ExportedHub, values: Values) -> None:
    values.put("hub.baseUrl", hub.config.base_url)
    if hub.config.hub.mode != "full":
        values.put("hub.config.JupyterHub.hub_routespec", get_hub_routespec(hub.config))
        values.decisions.append(
            "hub.mode is not full: the chart's proxy sends other addresses nowhere. Decide what "
            "answers there, for example an Ingress."
        )


def _put_https(hub: ExportedHub, values: Values) -> None:
    https = hub.config.https
    names = [name for name in https.names if not name.startswith("*.")]
    if https.effective_mode == "letsencrypt":
        _put_letsencrypt(hub, values, names)
    elif https.effective_mode == "tls":
        _put_certificate(hub, values, names)
    elif https.enabled:
        values.put("proxy.https.enabled", False)
        values.decisions.append(
            "HTTPS is off in values.yaml: the certificates of this machine's own authority "
            "(https.mode internal) cannot be renewed on Kubernetes. Without HTTPS, passwords are "
            "readable on the network: set proxy.https to letsencrypt, or to your own certificate."
        )
    else:
        values.put("proxy.https.enabled", False)
    if https.enabled and https.port != 443:
        values.decisions.append(
            f"https.port is {https.port}: the chart's load balancer listens on 443. Give users the "
            "address without the port, and correct it where a login provider has it."
        )


def _put_letsencrypt(hub: ExportedHub, values: Values, names: list[str]) -> None:
    settings = hub.config.https.letsencrypt
    server = settings.server or (STAGING if settings.staging else None)
    if settings.dns.provider is not None or not names:
        values.put("proxy.https.enabled", False)
        values.decisions.append(
            "HTTPS is off in values.yaml: the chart validates names over HTTP only, not by DNS "
            f"({', '.join(settings.domains)}). If Let's Encrypt can reach the new address, set "
            "proxy.https.enabled, type letsencrypt and hosts; if not, type manual or secret."
        )
    else:
        values.put("proxy.https.enabled", True)
        values.put("proxy.https.type", "letsencrypt")
        # Without hosts, the chart serves plain HTTP.
        values.put("proxy.https.hosts", names)
    values.put("proxy.https.letsencrypt.contactEmail", settings.email or None)
    if server is not None:
        values.put("proxy.https.letsencrypt.acmeServer", server)


def _put_certificate(hub: ExportedHub, values: Values, names: list[str]) -> None:
    tls = hub.config.https.tls
    cert, key = hub.files.get(tls.cert), hub.files.get(tls.key)
    if cert is None or key is None:
        values.put("proxy.https.enabled", False)
        values.decisions.append(
            f"HTTPS is off in values.yaml: {tls.cert} or {tls.key} could not be read."
        )
        return
    values.put("proxy.https.enabled", True)
    values.put("proxy.https.type", "manual")
    values.put("proxy.https.hosts", names)
    values.put("proxy.https.manual.cert", cert.decode(errors="replace"))
    values.put("proxy.https.manual.key", key.decode(errors="replace"), is_secret=True)
    values.decisions.append(
        "the certificate in values.yaml is not renewed: write the new one there in time, and "
        "its key into secrets.yaml."
    )


def _put_database(hub: ExportedHub, values: Values) -> None:
    settings = hub.config.database
    if settings.url is None:
        values.put("hub.db.type", "sqlite-pvc")
        return
    parts = urlsplit(settings.url)
    url = parts._replace(scheme=_DRIVERS[settings.kind], path=parts.path + DATABASE_SUFFIX)
    values.put("hub.db.type", _KINDS[settings.kind])
    values.put("hub.db.url", url.geturl())
    if hub.database_password is not None:
        values.put("hub.db.password", hub.database_password, is_secret=True)
    values.decisions.append(
        f"make the database {url.path[1:]} on {parts.hostname}, and fill it as in the steps below: "
        f"{parts.path[1:]} belongs to the hub on this machine, whose tables the chart's hub cannot "
        "read. The pods must reach the server; its certificate is not checked."
    )


def _put_pages(hub: ExportedHub, values: Values) -> None:
    pages = hub.config.pages
    variables = {
        name: value
        for name, value in hub.trait("JupyterHub", "template_vars", {}).items()
        if not name.startswith("pages_")
    }
    if pages.login_text:
        variables["announcement_login"] = html.escape(pages.login_text).replace("\n", "<br>")
    if variables:
        values.put("hub.templateVars", variables)
    logo = hub.files.get(pages.logo) if pages.logo else None
    if pages.logo and logo is not None and len(logo) <= _MOST_LOGO_BYTES:
        path = f"{_LOGO_DIRECTORY}/logo{PurePosixPath(pages.logo).suffix}"
        values.put("hub.extraFiles.logo.mountPath", path)
        values.put("hub.extraFiles.logo.binaryData", b64encode(logo).decode())
        values.put("hub.config.JupyterHub.logo_file", path)
    elif pages.logo:
        values.notes["pages.logo"] = "not written: the file is missing, or larger than 500 kB"


ROWS = (
    Row("base_url", ("hub.baseUrl",), build=_put_base_url),
    Row(
        "hub.mode",
        ("hub.config.JupyterHub.hub_routespec",),
        "the proxy has nothing for addresses outside it",
        _put_base_url,
    ),
    Row("https.enabled", ("proxy.https.enabled",), build=_put_https),
    Row(
        "https.mode",
        ("proxy.https.type",),
        "letsencrypt, or manual for your files; internal has no counterpart",
        _put_https,
    ),
    Row("https.domains", ("proxy.https.hosts",), "without wildcards", _put_https),
    Row(
        "https.tls.cert",
        ("proxy.https.manual.cert",),
        "the content of the file: you write a renewed one there",
        _put_https,
    ),
    Row("https.tls.key", ("proxy.https.manual.key",), "in secrets.yaml", _put_https),
    Row("https.letsencrypt.email", ("proxy.https.letsencrypt.contactEmail",), build=_put_https),
    Row(
        "https.letsencrypt.domains",
        ("proxy.https.hosts",),
        "without wildcards, which need DNS; the certificate is a new one",
        _put_https,
    ),
    Row(
        "https.letsencrypt.staging",
        ("proxy.https.letsencrypt.acmeServer",),
        build=_put_https,
    ),
    Row("https.letsencrypt.server", ("proxy.https.letsencrypt.acmeServer",), build=_put_https),
    *rows_without(
        "the chart's Traefik (autohttps) asks without it",
        "https.letsencrypt.ca_bundle",
        "https.letsencrypt.eab",
        "https.letsencrypt.key_type",
        "https.letsencrypt.profile",
    ),
    *rows_without(
        "the chart validates over HTTP only; for validation by DNS, use cert-manager and "
        "proxy.https.type secret",
        "https.letsencrypt.dns.provider",
        "https.letsencrypt.dns.credentials",
        "https.letsencrypt.dns.propagation_s",
    ),
    *rows_without(
        "a load balancer in front of the cluster listens, on ports 80 and 443; proxy.service.* "
        "changes it",
        "http.address",
        "http.port",
        "https.address",
        "https.port",
    ),
    Row(
        "https.hsts",
        (),
        "the chart sends HSTS for half a year with letsencrypt: proxy.traefik.hsts",
    ),
    Row(
        "trusted_proxies",
        (),
        "the proxy trusts X-Forwarded headers; keep others away from it with its networkPolicy",
    ),
    Row(
        "database.type",
        ("hub.db.type",),
        "a server on this machine becomes sqlite-pvc: the pods cannot reach it",
        _put_database,
    ),
    Row(
        "database.url",
        ("hub.db.url",),
        "a new database with _z2jh after the name, because the schema is older",
        _put_database,
    ),
    Row("database.password_file", ("hub.db.password",), "in secrets.yaml", _put_database),
    Row(
        "database.ca",
        (),
        "mount the file with hub.extraFiles, and name it in hub.db.url",
    ),
    Row(
        "pages.announcement",
        ("hub.templateVars.NAME",),
        "tljh announce has no counterpart",
        _put_pages,
    ),
    Row(
        "pages.login_text",
        ("hub.templateVars.NAME",),
        "as the announcement of the login page",
        _put_pages,
    ),
    Row(
        "pages.logo",
        (
            "hub.config.JupyterHub.logo_file",
            "hub.extraFiles.logo.mountPath",
            "hub.extraFiles.logo.binaryData",
        ),
        build=_put_pages,
    ),
    *rows_without(
        "JupyterHub's own templates have no place for it; add templates with hub.extraFiles and "
        "hub.templatePaths",
        "pages.title",
        "pages.help_links",
        "pages.templates",
    ),
    *rows_without(
        "the hub itself answers there, on Kubernetes",
        "pages.stopped_server.title",
        "pages.stopped_server.text",
        "pages.stopped_server.links",
        "pages.stopped_server.before_programs",
    ),
)
