"""The reference page of JupyterHub's options, from the table and the installed classes.

    python -m tljh.hub.option_reference docs/reference

The page needs the installed JupyterHub for types; `tljh.settings.reference` does not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tljh.settings.hub_options import OPTIONS, HubOption, OptionKind
from tljh.settings.trait_catalogue import Catalogue, Trait

CLASSES = ("JupyterHub", "Proxy", "Spawner", "Authenticator")

_HEAD = """\
# Options of JupyterHub

<!-- Generated from the table by `make reference`; a test fails when it is stale. -->

Every option of JupyterHub's application and of its base classes for proxies, spawners and
authenticators, and what `config.yaml` does with it:

- **settable**: in the section of its class, for example
  `sudo tljh-config set JupyterHub.active_server_limit 50`
- **has a setting**: settable in the same way, but a [setting](configuration.md) does the same with
  further checks
- **set by tljh**: refused, with the setting from which tljh derives it
- **refused**: it would stop the hub or destroy data, is gone, is deprecated, or cannot be written
  in YAML

Refused options are errors of `tljh-config set`, `check` and `reload`, before anything restarts. In
[drop-ins](../guides/configure.md#what-no-setting-covers), those that take Python and the deprecated
ones that still work are accepted. `tljh-config describe JupyterHub.base_url` prints the same as
this page. A class that inherits an option, such as `LDAPAuthenticator`, treats it in the same way.
"""


def format_options_page(catalogue: Catalogue) -> str:
    """Return the content of docs/reference/hub-options.md."""
    parts = [_HEAD]
    for name in CLASSES:
        lines = [
            f"## {name}\n",
            "| option | type | | instead |",
            "| --- | --- | --- | --- |",
            *_format_rows(name, catalogue),
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _format_rows(class_name: str, catalogue: Catalogue) -> Iterator[str]:
    for name, option in sorted(OPTIONS[class_name].items()):
        trait = catalogue.find_trait(class_name, name)
        kind = "gone" if trait is None else _describe_type(trait)
        cells = (f"`{name}`", kind, option.kind.value, _describe_instead(option))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _describe_type(trait: Trait) -> str:
    words = {
        "bool": "true or false",
        "int": "whole number",
        "bytes": "size",
        "function": "function",
    }
    if trait.kind == "choice":
        return "one of " + ", ".join(f"`{choice}`" for choice in trait.choices)
    if trait.kind == "any":
        return trait.info.removeprefix("a ")
    return words.get(trait.kind, trait.kind)


def _describe_instead(option: HubOption) -> str:
    if option.kind is OptionKind.SETTABLE:
        return ""
    if option.kind is OptionKind.SECTION:
        return f"`{option.setting}`"
    before, separator, command = option.fix.partition("sudo ")
    fix = f"{before}`{separator}{command}`" if separator else option.fix
    return f"{option.why}. Instead: {fix}"


def main() -> None:
    """Write the page: python -m tljh.hub.option_reference docs/reference."""
    from tljh.host.real import RealHost
    from tljh.hub.trait_scan import build

    catalogue = Catalogue.parse(json.dumps(build()).encode())
    assert catalogue is not None
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference").absolute()
    host = RealHost()
    info = host.info(directory)
    owner = (info.owner, info.group) if info else ("root", "root")
    host.write(
        directory / "hub-options.md",
        format_options_page(catalogue).encode(),
        mode=0o644,
        owner=owner[0],
        group=owner[1],
    )


if __name__ == "__main__":
    main()
