"""A check of candidate files by Traefik itself, before they are applied.

One bad dynamic file makes a running Traefik drop every route. So the real binary first loads the
files on free loopback ports (tljh/proxy/supervisor/trial.py), and its errors become findings.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tljh.base.errors import Finding, Place
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.proxy.supervisor.trial import PLACE
from tljh.proxy.traefik_drop_ins import find_line
from tljh.proxy.traefik_dynamic import ProxyFile
from tljh.proxy.traefik_static import format_yaml, list_listening_addresses, merge

TRIAL_TIMEOUT_S = 40.0


# Errors that the trial causes, not the files.
HARMLESS = ("Error while running HTTP server", "acme")


_UNKNOWN_FIELD = re.compile(r"field not found, node: ([\w.-]+)")


_FIELDS = re.compile(r"""(\w+)=("(?:[^"\\]|\\.)*"|\S+)""")


_TIME = re.compile(r"^\S+Z\s+ERR\s+")


def explain_refusal(
    host: HostReader,
    hub: Path,
    directory: Path,
    static: Mapping[str, Any],
    files: Sequence[ProxyFile],
    sources: Mapping[Path, bytes],
) -> list[Finding]:
    """Run Traefik with a candidate configuration, and return its errors.

    `files` are the dynamic files, with their paths below `directory`. `sources` are admins' files,
    in which the place of an error is searched.
    """
    question = {
        "entry_points": list(list_listening_addresses(static)),
        "files": {
            Paths().traefik_static.name: _encode(format_yaml(_move_to_loopback(static)).encode()),
            **{
                file.path.relative_to(directory).as_posix(): _encode(
                    file.content.replace(str(directory).encode(), PLACE.encode())
                )
                for file in files
            },
        },
    }
    argv = [
        str(HubEnvironmentFiles(hub).python),
        "-I",
        "-m",
        "tljh.proxy.supervisor.trial",
        str(hub / "bin/traefik"),
    ]
    result = host.query(argv, timeout_s=TRIAL_TIMEOUT_S, stdin=json.dumps(question))
    if not result.ok:
        return [Finding("Traefik could not be tried with its new files", why=result.err[-2000:])]
    verdict = json.loads(result.out)
    errors = [line for line in verdict["lines"] if _is_error(line)]
    findings = list(dict.fromkeys(_explain_line(line, sources) for line in errors))
    if not verdict["ready"] and not findings:
        last = "\n".join(verdict["lines"][-5:])
        findings.append(Finding("Traefik does not serve with its new files", why=last))
    return findings


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _move_to_loopback(static: Mapping[str, Any]) -> dict[str, Any]:
    """Return a static configuration for a trial: free loopback ports, files in a scratch place.

    It logs to standard output. So a trial does not disturb the Traefik that serves.
    """
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


def _is_error(line: str) -> bool:
    # Traefik writes JSON until it has read the format of its log.
    is_error = " ERR " in line or line.startswith('{"level":"error"')
    return is_error and not any(harmless in line for harmless in HARMLESS)


def _explain_line(line: str, sources: Mapping[Path, bytes]) -> Finding:
    """Turn a line of Traefik's log into a finding at its place in an admin's file."""
    if line.startswith("{"):
        entry = json.loads(line)
        message, fields = "", {"error": str(entry.get("error") or entry.get("message"))}
    else:
        fields = {name: _unquote(value) for name, value in _FIELDS.findall(line)}
        message = _FIELDS.sub("", _TIME.sub("", line)).strip()
    error = fields.get("error", "").removeprefix("command traefik error: ")
    unknown = _UNKNOWN_FIELD.search(error)
    if unknown:
        error = f"Traefik knows no setting {unknown[1]}"
    what = ": ".join(part for part in (message, error) if part and part != "Command error")
    names = [unknown[1]] if unknown else []
    # Traefik puts the name next to the message, not into it.
    entry_point = fields.get("entryPointName")
    if entry_point and entry_point not in what:
        what += f": {entry_point}"
        names.append(entry_point)
    names += [
        fields[key].partition("@")[0]
        for key in ("routerName", "middlewareName", "serviceName", "entryPointName")
        if key in fields
    ]
    return Finding(what, _find_place(sources, names, line) or _find_place_of_value(sources, what))


def _unquote(value: str) -> str:
    return str(json.loads(value)) if value.startswith('"') else value


def _find_place(sources: Mapping[Path, bytes], names: Sequence[str], line: str) -> Place | None:
    """Return where a drop-in defines one of `names`; files that the log line names come first."""
    named = [path for path in sources if path.name in line]
    for path in dict.fromkeys((*named, *sources)):
        for name in names:
            number = find_line(sources[path], name)
            if number is not None:
                return Place(str(path), number)
    return Place(str(named[0])) if named else None


def _find_place_of_value(sources: Mapping[Path, bytes], message: str) -> Place | None:
    """Return the first line of a drop-in with a value that Traefik's message quotes."""
    for value in re.findall(r'"([^"]+)"', message):
        for path, content in sources.items():
            for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
                if value in line:
                    return Place(str(path), number)
    return None
