"""Types of values that several sections share: ports, addresses, names, files."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

_BASE_URL = re.compile(r"^/([A-Za-z0-9._~@-]+/)*([A-Za-z0-9._~@-]+)?$")


def _check_base_url(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"must begin with /, not {value!r}")
    if not _BASE_URL.match(value):
        raise ValueError(f"must be a path like / or /hub/, not {value!r}")
    return value if value.endswith("/") else value + "/"


BaseUrl = Annotated[str, AfterValidator(_check_base_url)]


def _check_requirement(value: str) -> str:
    if not re.match(r"^[^\s-]\S*( .*)?$", value):
        raise ValueError(f"must be a Python package like name or name==1.0, not {value!r}")
    return value


Requirement = Annotated[str, AfterValidator(_check_requirement)]


_LABEL = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)$")


_EMAIL = re.compile(r"^[^@\s\"'`{}<>,;]+@[^@\s\"'`{}<>,;]+\.[^@\s\"'`{}<>,;]+$")


# As sendmail takes them: root, root@localhost.
_LOCAL_RECIPIENT = re.compile(r"^\w[\w.+-]*(@[\w-]+)?$")


_URL = re.compile(r"^https?://[^\s\"'`{}<>]+$")


def _check_address(value: str) -> str:
    if not value:
        return value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            f"must be an IP address of this machine, or empty for all, not {value!r}"
        ) from None


def _check_loopback(value: str) -> str:
    try:
        is_loopback = ipaddress.ip_address(value).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"must be a loopback address like 127.0.0.1, not {value!r}")
    return value


def _check_network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(
            f"must be an IP address or a network like 10.0.0.0/8, not {value!r}"
        ) from None


def _check_host_name(value: str) -> str:
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


def _check_host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return _check_host_name(value)


def _check_email(value: str) -> str:
    if value and not _EMAIL.match(value):
        raise ValueError(f"must be an e-mail address like admin@example.org, not {value!r}")
    return value


def _check_recipient(value: str) -> str:
    return value if _LOCAL_RECIPIENT.match(value) else _check_email(value)


def check_file_path(value: str) -> str:
    if value and not value.startswith("/"):
        raise ValueError(f"must be an absolute path, not {value!r}")
    if re.search(r"[\x00-\x1f\"`{}]", value):
        raise ValueError(f"has a character that is not allowed in this path: {value!r}")
    return value


def _check_url(value: str) -> str:
    if not _URL.match(value):
        raise ValueError(f"must be a URL like https://ca.example.org/directory, not {value!r}")
    return value


def _check_acme_name(value: str) -> str:
    """Return a host name, or a wildcard for all names one level below it."""
    return f"*.{_check_host_name(value[2:])}" if value.startswith("*.") else _check_host_name(value)


_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]+)?) ?(s|min|m|h|d|w)$")


@dataclass(frozen=True)
class Duration:
    """Marks a number of seconds or days that may also be written as 90m or 2h."""

    unit_s: int

    def read(self, value: Any) -> Any:
        """Return a text such as 2h as a number in the unit; any other value as it is."""
        match = _DURATION.match(value.strip().lower()) if isinstance(value, str) else None
        if match is None:
            return value
        number = float(match.group(1)) * _UNITS_S[match.group(2)] / self.unit_s
        return int(number) if number.is_integer() else number

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        # Editors complete and check config.yaml by the JSON Schema.
        text = {"type": "string", "pattern": _DURATION.pattern}
        return {"anyOf": [handler(schema), text]}


Seconds = Annotated[int, Duration(1)]


Days = Annotated[float, Duration(86_400)]


Port = Annotated[int, Field(ge=1, le=65535)]


Address = Annotated[str, AfterValidator(_check_address)]


LoopbackAddress = Annotated[str, AfterValidator(_check_loopback)]


Network = Annotated[str, AfterValidator(_check_network)]


Host = Annotated[str, AfterValidator(_check_host)]


AcmeName = Annotated[str, AfterValidator(_check_acme_name)]


Email = Annotated[str, AfterValidator(_check_email)]


MailRecipient = Annotated[str, AfterValidator(_check_recipient)]


FilePath = Annotated[str, AfterValidator(check_file_path)]


Url = Annotated[str, AfterValidator(_check_url)]
