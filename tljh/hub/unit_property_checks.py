"""Check of `unit_extra_properties`: with one that systemd refuses, no server would start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tljh.base.errors import Finding
from tljh.host.interface import HostReader
from tljh.host.unit_verification import verify_unit
from tljh.hub.drop_in_changes import DropIns, find_place

TRAIT = "unit_extra_properties"

# Older releases of systemd say `Unknown key name`, or `lvalue`.
_UNKNOWN = re.compile(r"Unknown (?:key|lvalue)")
# What the templates of these values stand for, with an example.
_EXAMPLES = {"{USERNAME}": "user", "{USERID}": "1000"}


def find_refused_properties(
    host: HostReader, c: Mapping[str, Any], sections: Iterable[str], drop_ins: DropIns
) -> Iterator[Finding]:
    """Report the properties in these sections that systemd would refuse, at their drop-in."""
    for section in sections:
        properties = c[section].get(TRAIT) if section in c else None
        if not isinstance(properties, Mapping):
            continue
        for name, problem in explain_refused(host, properties).items():
            yield Finding(
                f"systemd refuses the property {name} of {section}.{TRAIT}",
                find_place(drop_ins, str(name)),
                f"{problem}; no server would start",
                "the names and values are those of a service's unit: man systemd.resource-control, "
                "man systemd.exec",
            )


def explain_refused(host: HostReader, properties: Mapping[str, Any]) -> dict[str, str]:
    """Return why systemd refuses a property, by its name; empty where it cannot be asked."""
    refused = _verify(host, "Service", properties)
    unknown = {name: properties[name] for name in refused if _UNKNOWN.search(refused[name])}
    if unknown:
        # Properties of the unit itself, such as After, may be set, too.
        refused = {name: why for name, why in refused.items() if name not in unknown}
        refused |= _verify(host, "Unit", unknown)
    return refused


def _verify(host: HostReader, section: str, properties: Mapping[str, Any]) -> dict[str, str]:
    """Have systemd read a unit with these properties; return its complaints by name."""
    lines = ["[Service]", "Type=oneshot", "ExecStart=/bin/true", f"[{section}]"]
    names: dict[int, str] = {}
    for name, value in properties.items():
        for item in (
            value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        ):
            text = str(item)
            for template, example in _EXAMPLES.items():
                text = text.replace(template, example)
            if "\n" in f"{name}{text}":
                return {str(name): "it has a line break"}
            lines.append(f"{name}={text}")
            names[len(lines)] = str(name)
    return {
        names[line]: why.replace(", ignoring", "")
        for line, why in verify_unit(host, "\n".join([*lines, ""]))
        if line in names
    }
