"""Both commands: `tljh`, and `tljh-config` which is `tljh config`.

A verb is a function in `tljh.commands` and is imported when it is used. Its parameters before
the `*` are arguments, those after it are options; `timeout_s` is spelled `--timeout`, and every
verb has `--json` and `--debug`. It returns a result with `as_text` and `as_json` (and an
`exit_code`, where that is not 0), or raises `TljhError`; this module alone prints either.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tljh import __version__
from tljh.base.errors import Exit, Finding, TljhError
from tljh.cli.verbs import CONFIG, TLJH, Group, Invocation, function_of


def _tell_error(findings: tuple[Finding, ...], code: int, invocation: Invocation) -> int:
    if invocation.json:
        import json

        answer = {"findings": [finding.as_json() for finding in findings], "exit_code": code}
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(finding.as_text() for finding in findings), file=sys.stderr)
    return code


def _tell(result: Any, invocation: Invocation) -> int:
    """Print what a verb returned; its notes go to standard error."""
    if isinstance(result, int):
        return result
    if result is None:
        return 0
    if invocation.json:
        import json

        print(json.dumps(result.as_json(), indent=2))
    else:
        for note in getattr(result, "notes", ()):
            print(note, file=sys.stderr)
        text = result.as_text()
        if text:
            print(text)
    return int(getattr(result, "exit_code", 0))


def run(name: str, group: Group, arguments: list[str] | None = None) -> int:
    """Run a command line and say how it went; never raises but for an interrupt."""
    invocation = Invocation()
    _start_fast()
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        print(f"tljh {__version__}")
        return 0
    try:
        plain = _plain_call(group, words)
        if plain is not None:
            result = plain()
        else:
            from tljh.cli import typer_app as parser

            result = parser.call(name, group, words, invocation)
        code = _tell(result, invocation)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if invocation.debug:
            import traceback

            traceback.print_exc()
        return _tell_exception(error, name, invocation)


# Verbs that are used all the time, with the words that their common form takes.
_PLAIN = {
    "show": (0, 1),
    "get": (1, 1),
    "set": (2, 2),
    "unset": (1, 1),
    "add-item": (2, 2),
    "remove-item": (2, 2),
}


def _plain_call(group: Group, words: list[str]) -> Callable[[], Any] | None:
    """The call that `set KEY VALUE` and its like ask for when they have no options.

    Loading a parser for them would take as long as all the rest.
    """
    if group is not CONFIG or not words or words[0] not in _PLAIN:
        return None
    verb, *values = words
    fewest, most = _PLAIN[verb]
    is_plain = fewest <= len(values) <= most and not any(one.startswith("-") for one in values)
    reference = CONFIG.verbs[verb]
    if not is_plain or "_TLJH_CONFIG_COMPLETE" in os.environ or isinstance(reference, Group):
        return None
    return lambda: function_of(reference)(*values)


def _start_fast() -> None:
    """Leave out what only long-lived programs gain from; a third of the time of a `set`."""
    import gc

    # Imports make many objects and hardly any garbage.
    gc.set_threshold(100_000, 50, 50)
    # Else pydantic looks through the metadata of every installed package for plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _tell_exception(error: Exception, name: str, invocation: Invocation) -> int:
    if isinstance(error, TljhError):
        return _tell_error(error.findings, int(error.exit_code), invocation)
    if type(error).__name__ == "Abort":
        return 130
    # Usage errors, by their shape: Typer brings its parser along under changing names.
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else name
        text = str(error.format_message()).rstrip(".")
        what = text[:1].lower() + text[1:]
        if type(error).__name__ == "NoArgsIsHelpError":
            print(what, file=sys.stderr)
            return int(Exit.USAGE)
        finding = Finding(what, fix=f"see: {path} --help")
        return _tell_error((finding,), int(Exit.USAGE), invocation)
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        from tljh.base.files import permission_error

        refused = permission_error(Path(str(error.filename or "that")))
        return _tell_error(refused.findings, int(Exit.FAILED), invocation)
    finding = Finding(
        f"an unexpected {type(error).__name__}: {error}",
        fix="run it again with --debug, and report what it prints",
    )
    return _tell_error((finding,), int(Exit.FAILED), invocation)


def tljh() -> None:
    """Entry point of `tljh`."""
    sys.exit(run("tljh", TLJH))


def tljh_config() -> None:
    """Entry point of `tljh-config`."""
    sys.exit(run("tljh-config", CONFIG))
