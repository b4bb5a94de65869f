"""The programs `tljh` and `tljh-config` (which is `tljh config`): output, errors and exit codes.

A verb is a function in `tljh.commands` and is imported when it is used. Its parameters before
the `*` are arguments, those after it are options; `timeout_s` is spelled `--timeout`, and every
verb has `--json` and `--debug`. It returns a result with `as_text` and `as_json` (and an
`exit_code`, where that is not 0), or raises `TljhError`; only this module prints either.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tljh import __version__
from tljh.base.errors import Exit, Finding, TljhError
from tljh.base.interruptions import exit_code_of, is_change_kept, raised_as_exceptions
from tljh.base.output import lasting_output
from tljh.cli.plugin_verbs import add_plugin_verbs
from tljh.cli.verbs import CONFIG, TLJH, Invocation, VerbGroup, import_function


def _print_error(findings: tuple[Finding, ...], code: int, invocation: Invocation) -> int:
    if invocation.json:
        import json

        answer = {"findings": [finding.as_json() for finding in findings], "exit_code": code}
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(finding.as_text() for finding in findings), file=sys.stderr)
    return code


def _print_result(result: Any, invocation: Invocation) -> int:
    """Print the result of a verb, with its notes on standard error; return the exit code."""
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


def run(name: str, group: VerbGroup, arguments: list[str] | None = None) -> int:
    """Run a command line, print its result or its error, and return the exit code.

    Neither an output that ends (`| head`) nor a signal stops a change half-way.
    """
    _start_fast()
    words = sys.argv[1:] if arguments is None else arguments
    with lasting_output() as output:
        code = _run(name, group, words)
        output.flush()
        return code or _undelivered(output.error)


def _run(name: str, group: VerbGroup, words: list[str]) -> int:
    invocation = Invocation()
    if words == ["--version"]:
        print(f"tljh {__version__}")
        return 0
    try:
        with raised_as_exceptions():
            direct_call = _find_direct_call(group, words)
            if direct_call is not None:
                result = direct_call()
            else:
                from tljh.cli import typer_app

                result = typer_app.call(name, group, words, invocation)
            return _print_result(result, invocation)
    except (Exception, KeyboardInterrupt) as error:
        if invocation.debug:
            import traceback

            traceback.print_exc()
        return _print_exception(error, name, invocation)


def _undelivered(error: OSError | None) -> int:
    """Return the exit code of a command that is done, but whose output could not be written."""
    if error is None:
        return 0
    # EIO is the answer of a terminal that was closed.
    if isinstance(error, BrokenPipeError) or error.errno == errno.EIO:
        return int(Exit.OUTPUT_CLOSED)
    finding = Finding(
        "the command is done, but its output could not be written",
        why=f"standard output: {error.strerror}",
    )
    print(finding.as_text(), file=sys.stderr)
    return int(Exit.FAILED)


# Verbs that are used most, with the fewest and most values of their common form.
_DIRECT = {
    "show": (0, 1),
    "get": (1, 1),
    "set": (2, 2),
    "unset": (1, 1),
    "add-item": (2, 2),
    "remove-item": (2, 2),
}


def _find_direct_call(group: VerbGroup, words: list[str]) -> Callable[[], Any] | None:
    """Return the call of a verb whose words need no parser, such as `set KEY VALUE`.

    Returns None for other verbs and for words with options: Typer parses these, and takes as long
    to load as the whole rest of such a command.
    """
    if group is not CONFIG or not words or words[0] not in _DIRECT:
        return None
    verb, *values = words
    fewest, most = _DIRECT[verb]
    has_options = any(value.startswith("-") for value in values)
    is_common = fewest <= len(values) <= most and not has_options
    reference = CONFIG.verbs[verb]
    if not is_common or "_TLJH_CONFIG_COMPLETE" in os.environ or isinstance(reference, VerbGroup):
        return None
    return lambda: import_function(reference)(*values)


def _start_fast() -> None:
    """Speed up the start: skip what only long-lived programs gain from.

    It is a third of the time of a `set`.
    """
    import gc

    # Imports make many objects and hardly any garbage.
    gc.set_threshold(100_000, 50, 50)
    # Without this, pydantic searches the metadata of all installed packages for its plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Even so it imports the library for package metadata, a twentieth of a `set`.
    plugins = ModuleType("pydantic.plugin._loader")
    plugins.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules.setdefault(plugins.__name__, plugins)


def _print_exception(error: BaseException, name: str, invocation: Invocation) -> int:
    if isinstance(error, TljhError):
        return _print_error(error.findings, int(error.exit_code), invocation)
    # Click, below Typer, turns a KeyboardInterrupt into its own Abort.
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        what = "interrupted, after the change was made" if is_change_kept() else "interrupted"
        return _print_error((Finding(what),), int(exit_code_of(error)), invocation)
    # Usage errors are recognized by their attributes: Typer vendors Click under changing names,
    # so there is no class to import.
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else name
        text = str(error.format_message()).rstrip(".")
        what = text[:1].lower() + text[1:]
        if type(error).__name__ == "NoArgsIsHelpError":
            print(what, file=sys.stderr)
            return int(Exit.USAGE)
        finding = Finding(what, fix=f"see: {path} --help")
        return _print_error((finding,), int(Exit.USAGE), invocation)
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        from tljh.base.files import make_permission_error

        denied = make_permission_error(Path(str(error.filename or "that")))
        return _print_error(denied.findings, int(Exit.FAILED), invocation)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        from tljh.host.full_disk import describe_full_disk
        from tljh.host.real import RealReader

        full = describe_full_disk(RealReader(), str(error), ("/", "/tmp"))
        return _print_error((full,), int(Exit.FAILED), invocation)
    finding = Finding(
        f"an unexpected {type(error).__name__}: {error}",
        fix="run it again with --debug, and report what it prints",
    )
    return _print_error((finding,), int(Exit.FAILED), invocation)


def tljh() -> None:
    """Run `tljh`."""
    sys.exit(run("tljh", add_plugin_verbs(TLJH)))


def tljh_config() -> None:
    """Run `tljh-config`."""
    code = run("tljh-config", CONFIG)
    if sys.argv[1:] and sys.argv[1] in _DIRECT:
        # Freeing what the imports made takes a tenth of a `set`, and the kernel frees it anyway.
        # These verbs have no threads, and have closed their files and locks.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
