"""What Traefik itself says of files before they are applied.

A moment's run of the real binary on loopback ports of its own (tljh/proxy/supervisor/trial.py):
one bad dynamic file makes a running Traefik drop every route, so nothing reaches it unseen.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tljh.base.errors import Finding, Place
from tljh.host.interface import HostReader
from tljh.proxy.supervisor.trial import PLACE
from tljh.proxy.traefik_drop_ins import line_of
from tljh.proxy.traefik_dynamic import ProxyFile
from tljh.proxy.traefik_static import as_yaml, listening_addresses, merge

TRIAL_TIMEOUT_S = 40.0


# What Traefik complains about that is no fault of the files.
HARMLESS = ("Error while running HTTP server", "acme")


_UNKNOWN_FIELD = re.compile(r"field not found, node: ([\w.-]+)")


_FIELDS = re.compile(r"""(\w+)=("(?:[^"\\]|\\.)*"|\S+)""")


_TIME = re.compile(r"^\S+Z\s+ERR\s+")


def traefik_findings(
    host: HostReader,
    hub: Path,
    directory: Path,
    static: Mapping[str, Any],
    files: Sequence[ProxyFile],
    sources: Mapping[Path, bytes],
) -> list[Finding]:
    """Run Traefik on a candidate configuration; empty when it would serve without a complaint.

    `files` are the dynamic files as they would be below `directory`; `sources` are admins'
    files, in which the place of a complaint is looked for.
    """
    question = {
        "entry_points": list(listening_addresses(static)),
        "files": {
            "traefik.yaml": _encoded(as_yaml(_on_loopback(static)).encode()),
            **{
                file.path.relative_to(directory).as_posix(): _encoded(
                    file.content.replace(str(directory).encode(), PLACE.encode())
                )
                for file in files
            },
        },
    }
    argv = [
        str(hub / "bin/python"),
        "-I",
        "-m",
        "tljh.proxy.supervisor.trial",
        str(hub / "bin/traefik"),
    ]
    result = host.query(argv, timeout_s=TRIAL_TIMEOUT_S, stdin=json.dumps(question))
    if not result.ok:
        return [Finding("Traefik could not be tried on its new files", why=result.err[-2000:])]
    verdict = json.loads(result.out)
    complaints = [line for line in verdict["lines"] if _is_complaint(line)]
    findings = list(dict.fromkeys(_finding(line, sources) for line in complaints))
    if not verdict["ready"] and not findings:
        last = "\n".join(verdict["lines"][-5:])
        findings.append(Finding("Traefik does not serve with its new files", why=last))
    return findings


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _on_loopback(static: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration, away from the running one's ports and files."""
    entry_points = {
        name: {
            **entry_point,
            "address": "127.0.0.1:0/udp"
            if str(entry_point.get("address", "")).lower().endswith("/udp")
            else "127.0.0.1:0",
        }
        for name, entry_point in static.get("entryPoints", {}).items()
    }
    over = {
        "entryPoints": entry_points,
        "providers": {"file": {"directory": f"{PLACE}/dynamic", "watch": False}},
        "log": {"level": "INFO", "format": "common", "filePath": "", "noColor": True},
    }
    return merge(static, over)


def _is_complaint(line: str) -> bool:
    is_error = " ERR " in line or line.startswith('{"level":"error"')
    return is_error and not any(harmless in line for harmless in HARMLESS)


def _finding(line: str, sources: Mapping[Path, bytes]) -> Finding:
    """A log line of Traefik as a finding, placed in the admin's file that it speaks of."""
    if line.startswith("{"):
        told = json.loads(line)
        message, fields = "", {"error": str(told.get("error") or told.get("message"))}
    else:
        fields = {name: _unquoted(value) for name, value in _FIELDS.findall(line)}
        message = _FIELDS.sub("", _TIME.sub("", line)).strip()
    error = fields.get("error", "").removeprefix("command traefik error: ")
    unknown = _UNKNOWN_FIELD.search(error)
    if unknown:
        error = f"Traefik knows no setting {unknown[1]}"
    what = ": ".join(part for part in (message, error) if part and part != "Command error")
    names = [unknown[1]] if unknown else []
    names += [
        fields[key].partition("@")[0]
        for key in ("routerName", "middlewareName", "serviceName", "entryPointName")
        if key in fields
    ]
    return Finding(what, _place(sources, names, line) or _place_of_value(sources, error))


def _unquoted(value: str) -> str:
    return str(json.loads(value)) if value.startswith('"') else value


def _place(sources: Mapping[Path, bytes], names: Sequence[str], line: str) -> Place | None:
    """Where one of `names` stands, looked for in the file that `line` speaks of first."""
    spoken_of = [path for path in sources if path.name in line]
    for path in dict.fromkeys((*spoken_of, *sources)):
        for name in names:
            at = line_of(sources[path], name)
            if at is not None:
                return Place(str(path), at)
    return Place(str(spoken_of[0])) if spoken_of else None


def _place_of_value(sources: Mapping[Path, bytes], error: str) -> Place | None:
    for value in re.findall(r'"([^"]+)"', error):
        for path, content in sources.items():
            for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
                if value in line:
                    return Place(str(path), number)
    return None
