"""Types of values that several sections share: ports, addresses, names, files."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

_BASE_URL = re.compile(r"^/([A-Za-z0-9._~@-]+/)*([A-Za-z0-9._~@-]+)?$")


def _base_url(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"must begin with /, not {value!r}")
    if not _BASE_URL.match(value):
        raise ValueError(f"must be a path like / or /hub/, not {value!r}")
    return value if value.endswith("/") else value + "/"


BaseUrl = Annotated[str, AfterValidator(_base_url)]


def _requirement(value: str) -> str:
    if not re.match(r"^[^\s-]\S*( .*)?$", value):
        raise ValueError(f"must be a Python package like name or name==1.0, not {value!r}")
    return value


Requirement = Annotated[str, AfterValidator(_requirement)]


_LABEL = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)$")


_EMAIL = re.compile(r"^[^@\s\"'`{}<>,;]+@[^@\s\"'`{}<>,;]+\.[^@\s\"'`{}<>,;]+$")


_URL = re.compile(r"^https?://[^\s\"'`{}<>]+$")


def _address(value: str) -> str:
    if not value:
        return value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            f"must be an IP address of this machine, or empty for all, not {value!r}"
        ) from None


def _loopback(value: str) -> str:
    try:
        is_loopback = ipaddress.ip_address(value).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"must be a loopback address like 127.0.0.1, not {value!r}")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(
            f"must be an IP address or a network like 10.0.0.0/8, not {value!r}"
        ) from None


def _host_name(value: str) -> str:
    name = value.lower()
    if name.startswith("*."):
        raise ValueError(f"must be a host name, not a pattern like {value!r}")
    if not name.isascii():
        raise ValueError(f"must be written in its ASCII form (xn--…), not {value!r}")
    labels = name.split(".")
    is_address = all(label.isdigit() for label in labels)
    if len(name) > 253 or is_address or not all(_LABEL.match(label) for label in labels):
        raise ValueError(f"must be a host name like hub.example.org, not {value!r}")
    return name


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return _host_name(value)


def _email(value: str) -> str:
    if value and not _EMAIL.match(value):
        raise ValueError(f"must be an e-mail address like admin@example.org, not {value!r}")
    return value


def _file_path(value: str) -> str:
    if value and not value.startswith("/"):
        raise ValueError(f"must be an absolute path, not {value!r}")
    if re.search(r"[\x00-\x1f\"`{}]", value):
        raise ValueError(f"has a character that is not allowed in this path: {value!r}")
    return value


def _url(value: str) -> str:
    if not _URL.match(value):
        raise ValueError(f"must be a URL like https://ca.example.org/directory, not {value!r}")
    return value


def _acme_name(value: str) -> str:
    """Return a host name, or a wildcard for all names one level below it."""
    return f"*.{_host_name(value[2:])}" if value.startswith("*.") else _host_name(value)


Port = Annotated[int, Field(ge=1, le=65535)]


Address = Annotated[str, AfterValidator(_address)]


LoopbackAddress = Annotated[str, AfterValidator(_loopback)]


Network = Annotated[str, AfterValidator(_network)]


HostName = Annotated[str, AfterValidator(_host_name)]


Host = Annotated[str, AfterValidator(_host)]


AcmeName = Annotated[str, AfterValidator(_acme_name)]


Email = Annotated[str, AfterValidator(_email)]


FilePath = Annotated[str, AfterValidator(_file_path)]


Url = Annotated[str, AfterValidator(_url)]
