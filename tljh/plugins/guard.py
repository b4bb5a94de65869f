"""Run the code of a plugin so that what it does wrong is named, with file and line.

An exception, an exit, a hang and a print of a plugin must not reach the process that calls it.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from types import CodeType, FrameType
from typing import Any, TextIO, TypeVar

from tljh import __version__
from tljh.base.errors import Finding, Place, TljhError

T = TypeVar("T")

# Their frames are between tljh and a plugin: they are never the place of a mistake.
_OWN_DIRECTORIES = tuple(
    f"{directory}{os.sep}"
    for directory in (Path(__file__).parents[1], *map(sysconfig.get_path, ("stdlib", "platstdlib")))
)
_LIBRARIES = ("site-packages", "dist-packages")


class PluginError(TljhError):
    """A mistake of one plugin."""

    def __init__(self, plugin: str, finding: Finding) -> None:
        super().__init__([finding])
        self.plugin = plugin

    @property
    def finding(self) -> Finding:
        return self.findings[0]


class PluginTimeout(BaseException):
    """A plugin's code took too long; `except Exception` in a plugin does not catch it.

    `frame` is where a thread hangs, if the exception was not raised there.
    """

    def __init__(self, frame: FrameType | None = None) -> None:
        super().__init__()
        self.frame = frame


class PluginExit(BaseException):
    """A plugin's code called `os._exit`."""


class _PrintWatch(io.TextIOBase):
    """Standard output of a plugin: passes the text on to `target`, and remembers the first call."""

    def __init__(self, target: TextIO) -> None:
        self.target = target
        self.place: Place | None = None

    def write(self, text: str) -> int:
        if self.place is None and text.strip():
            self.place = _find_calling_place(sys._getframe(1))
        self.target.write(text)
        return len(text)

    def flush(self) -> None:
        self.target.flush()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.target.encoding

    @property
    def buffer(self) -> Any:
        """The stream of bytes, to which some programs write in place of text."""
        return self.target.buffer

    def fileno(self) -> int:
        return self.target.fileno()


def run_guarded(
    plugin: str,
    action: str,
    function: Callable[[], T],
    *,
    timeout_s: float,
    warnings: list[Finding] | None = None,
) -> T:
    """Run `function`, which is code of `plugin`, and return its result.

    Only the main thread has signals. In another one, the function runs in a new thread,
    which is abandoned when its time is over.

    `action` completes "plugin X failed …", such as "in tljh_post_install". What it prints goes to
    standard error, and a warning with the place is added to `warnings`. Raises PluginError for an
    exception, an exit, or more than `timeout_s`.
    """
    watch = _PrintWatch(sys.stderr)
    try:
        if threading.current_thread() is not threading.main_thread():
            return _run_in_thread(function, timeout_s)
        with (
            _stop_after(timeout_s),
            _refuse_exit(),
            contextlib.redirect_stdout(watch),
            _programs_too(),
        ):
            result = function()
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        raise PluginError(plugin, describe_failure(plugin, action, error, timeout_s)) from error
    if watch.place is not None and warnings is not None:
        warnings.append(
            Finding(
                f"plugin {plugin} prints to standard output {action}",
                watch.place,
                "what commands print there is read by programs, so it went to standard error",
                "use the module logging in the plugin",
            )
        )
    return result


def run_as_plugin(plugin: str, action: str, function: Callable[[], T]) -> T:
    """Run `function`, whose output is the user's: for a command of a plugin.

    Raises PluginError for an exception or an exit, and lets a TljhError of the plugin through.
    """
    try:
        return function()
    except (KeyboardInterrupt, TljhError):
        raise
    except BaseException as error:
        raise PluginError(plugin, describe_failure(plugin, action, error, 0)) from error


def _run_in_thread(function: Callable[[], T], timeout_s: float) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if not results:
        raise PluginTimeout(sys._current_frames().get(thread.ident or 0))
    return results[0]


@contextlib.contextmanager
def _stop_after(timeout_s: float) -> Iterator[None]:
    """Raise PluginTimeout in the block after this time."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise PluginTimeout

    previous = signal.signal(signal.SIGALRM, stop)
    # Again each second: the plugin may catch the first one.
    signal.setitimer(signal.ITIMER_REAL, timeout_s, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def _programs_too() -> Iterator[None]:
    """Let programs that the block starts print to standard error, too."""
    sys.stderr.flush()
    previous = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(previous, 1)
        os.close(previous)


@contextlib.contextmanager
def _refuse_exit() -> Iterator[None]:
    """Turn `os._exit` in the block into an exception; in processes that it forks, it works."""
    exit_process, own_pid = os._exit, os.getpid()

    def refuse(status: int) -> None:
        if os.getpid() != own_pid:
            exit_process(status)
        raise PluginExit(status)

    os._exit = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = exit_process


def describe_failure(plugin: str, action: str, error: BaseException, timeout_s: float) -> Finding:
    """Return the finding for an error in a plugin's code: one sentence, file and line."""
    fix = suggest_removal(plugin)
    place = _find_place(error)
    if isinstance(error, TljhError):
        finding = error.findings[0]
        return Finding(f"plugin {plugin} failed {action}: {finding.what}", place, finding.why, fix)
    if isinstance(error, PluginTimeout):
        return Finding(
            f"plugin {plugin} hangs {action}: it was stopped after {timeout_s:g} s",
            place,
            None,
            fix,
        )
    if isinstance(error, (SystemExit, PluginExit)):
        return Finding(f"plugin {plugin} tries to end the process {action}", place, None, fix)
    if isinstance(error, ImportError) and _is_missing_in_tljh(error):
        what = f"plugin {plugin} needs another release of tljh: {error}"
        return Finding(
            what, place, f"the installed release is {__version__}", suggest_upgrade(plugin)
        )
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        text = error.msg
    return Finding(
        f"plugin {plugin} failed {action}: {type(error).__name__}: {text}", place, None, fix
    )


def suggest_removal(plugin: str) -> str:
    """Return the fix for a plugin with a mistake."""
    return f"correct or update the plugin, or remove it: sudo tljh plugin remove {quote(plugin)}"


def suggest_upgrade(plugin: str) -> str:
    """Return the fix for a plugin that was written for a newer release."""
    return f"sudo tljh upgrade; or remove the plugin: sudo tljh plugin remove {quote(plugin)}"


def _is_missing_in_tljh(error: ImportError) -> bool:
    return (error.name or "").partition(".")[0] == "tljh"


def find_code_place(function: Callable[..., Any]) -> Place | None:
    """Return where a plugin's function is defined."""
    code = getattr(function, "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else None


def _find_place(error: BaseException) -> Place | None:
    """Return the innermost line of the plugin; of a library that it calls, if there is none."""
    if isinstance(error, SyntaxError) and error.filename and not _is_own(error.filename):
        return Place(error.filename, error.lineno)
    stack = traceback.extract_tb(error.__traceback__)
    if isinstance(error, PluginTimeout) and error.frame is not None:
        stack = traceback.extract_stack(error.frame)
    lines = [Place(frame.filename, frame.lineno) for frame in stack if not _is_own(frame.filename)]
    if not lines:
        return None
    # The first line that is not ours is the plugin's. It counts to the last one of the same
    # package: below that is a library.
    package = _find_package(lines[0].path)
    return next(line for line in reversed(lines) if _find_package(line.path) == package)


def _find_calling_place(frame: FrameType | None) -> Place | None:
    while frame is not None:
        if not _is_own(frame.f_code.co_filename):
            return Place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def _find_package(path: str) -> str:
    """Return what the files of one package have in common: its directory, or a single module."""
    parts = Path(path).parts
    for index in range(len(parts) - 1, 0, -1):
        if parts[index - 1] in _LIBRARIES:
            return str(Path(*parts[: index + 1]))
    directory = Path(path).parent
    return str(directory if (directory / "__init__.py").is_file() else path)


def _is_own(filename: str) -> bool:
    if filename.startswith("<"):
        return True
    below = _find_library_path(filename)
    if below is not None:
        return below.startswith(("tljh/", "pluggy/", "traitlets/"))
    return filename.startswith(_OWN_DIRECTORIES)


def _find_library_path(filename: str) -> str | None:
    """Return the path below site-packages; None for a file that is not in one."""
    for name in _LIBRARIES:
        _, separator, below = filename.rpartition(f"/{name}/")
        if separator:
            return below
    return None
