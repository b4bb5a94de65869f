"""config.yaml on disk: read, edited under a lock, checked, and written crash-safe.

Commands, the installer and plugins all change the file through this module. An edit that would
add a mistake is refused and leaves the file as it was; a file that is wrong already may be fixed
step by step.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.files import edit_lock, permission_error, read_file
from tljh.base.paths import HubEnvironmentFiles
from tljh.settings.keys import key_text, nearest, parse_key
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_tree import Document

if TYPE_CHECKING:
    from tljh.host.interface import Host, HostReader
    from tljh.settings.declaration import KeyPath, Problem
    from tljh.settings.file_reader import PluginSections
    from tljh.settings.root import Config
    from tljh.settings.shape import Shape
    from tljh.settings.trait_catalogue import Catalogue
    from tljh.settings.validation import Examined

    # Finds what is wrong with the files that a configuration names.
    FileProblems = Callable[[Config, HostReader], Iterable[Problem]]

LOCK_TIMEOUT_S = 30.0


# The names of `Host.write`'s temporary files.
_LEFTOVER = re.compile(r"^\.config\.yaml\.[a-z0-9_]{8}$")


_LEFTOVER_AGE_S = 60


@dataclass(frozen=True)
class FileEdit:
    """The text of the file before and after an edit, and warnings about the result."""

    before: str
    after: str
    notes: tuple[Finding, ...] = ()

    @property
    def is_change(self) -> bool:
        return self.before != self.after


class ConfigFile:
    """One configuration file, with the classes and plugins' sections that it may configure."""

    def __init__(
        self,
        path: Path,
        *,
        catalogue: Catalogue | HubEnvironmentFiles | None = None,
        plugin_sections: PluginSections | None = None,
        file_problems: FileProblems | None = None,
        host: Host | None = None,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        self.path = path
        self._catalogue = catalogue
        self.plugin_sections = plugin_sections or {}
        self._file_problems = file_problems
        self.lock_timeout_s = lock_timeout_s
        self._host = host

    @property
    def catalogue(self) -> Catalogue | None:
        """The installed classes; read from the catalogue's file at the first use."""
        if isinstance(self._catalogue, HubEnvironmentFiles):
            from tljh.settings.trait_catalogue import Catalogue

            traits, stamp = self._catalogue.traits, self._catalogue.stamp
            try:
                self._catalogue = Catalogue.parse(
                    traits.read_bytes(), stamp.read_bytes() if stamp.is_file() else None
                )
            except OSError:
                self._catalogue = None
        return self._catalogue

    @property
    def host(self) -> Host:
        if self._host is None:
            from tljh.host.real import RealHost

            self._host = RealHost()
        return self._host

    @property
    def shape(self) -> Shape:
        from tljh.settings.root import Config
        from tljh.settings.shape import shape_of

        return shape_of(Config)

    def examine(self, data: bytes | None = None) -> Examined[Config]:
        """Return the file, or `data` in its place, as settings with every problem."""
        from tljh.settings.load import examine

        return examine(
            read_file(self.path) if data is None else data,
            path=str(self.path),
            catalogue=self.catalogue,
            plugin_sections=self.plugin_sections,
        )

    def document(self) -> Document:
        """Return the YAML tree of the file. Raises TljhError when it cannot be parsed."""
        return self._parsed(read_file(self.path))

    def _parsed(self, data: bytes) -> Document:
        document = parse(data)
        if document.root is not None or not document.problems:
            return document
        findings = [problem.as_finding(str(self.path)) for problem in document.problems]
        raise TljhError([*findings, Finding("nothing was changed", fix="sudo tljh-config edit")])

    def parse_key(self, key: str) -> KeyPath:
        """Split a key by the schema."""
        return parse_key(key, self.shape)

    def look_up(self, key: str) -> tuple[KeyPath, Shape]:
        """Return path and shape of a key. Raises TljhError, with the nearest name, if unknown."""
        path = self.parse_key(key)
        shape = self.shape_at(path)
        if shape is not None:
            return path, shape
        from tljh.settings.known_mistakes import fix_of_known_mistake

        fix = fix_of_known_mistake(path)
        if fix is None:
            guesses = self._near_keys(key, path)
            fix = (
                f"did you mean {' or '.join(guesses)}?" if guesses else "see: tljh-config describe"
            )
        raise TljhError(f"there is no setting {key_text(path)}", fix=fix)

    def _near_keys(self, key: str, path: KeyPath) -> list[str]:
        from tljh.settings.keys import setting_keys
        from tljh.settings.root import Config

        section = self.shape_at(path[:-1]) if len(path) > 1 else self.shape
        keys, last = setting_keys(Config), str(path[-1])
        near = nearest(last, section.fields if section else ())
        if near:
            return [key_text((*path[:-1], near))]
        same_name = [other for other in keys if other.rpartition(".")[2] == last]
        near = nearest(key, keys)
        return [near] if near else same_name[:2]

    def shape_at(self, path: KeyPath) -> Shape | None:
        """Return the shape at a path, by the schema, the installed classes, plugins' sections."""
        from tljh.settings.shape import ANYTHING, shape_at, shape_of

        first = str(path[0])
        if first[:1].isupper():
            return self._trait_shape(path)
        if first == "auth" and len(path) > 1 and str(path[1])[:1].isupper():
            return self._trait_shape(path[1:])
        if first in self.shape.fields:
            return shape_at(self.shape, path)
        if first in self.plugin_sections:
            model = self.plugin_sections[first]
            return ANYTHING if model is None else shape_at(shape_of(model), path[1:])
        if first in self.examine().config.plugins.sections:
            return ANYTHING
        return None

    def _trait_shape(self, path: KeyPath) -> Shape | None:
        """Return the shape below a class; where the class is not known, guess by the name."""
        from tljh.settings.redaction import looks_secret
        from tljh.settings.shape import ANYTHING, Shape, shape_at

        class_name, traits = str(path[0]), [str(step) for step in path[1:]]
        if self.catalogue is not None and class_name in self.catalogue.classes:
            return shape_at(self.catalogue.shape(class_name), traits)
        # A secret is text even if it consists of digits, and may be read from a file.
        if len(traits) > 1 and traits[-1] == "file" and looks_secret(traits[-2]):
            return Shape("text")
        if traits and looks_secret(traits[-1]):
            return Shape("text", secret=True, may_be_file=True)
        return ANYTHING

    def change(
        self, edit: Callable[[str], str], *, key_path: KeyPath = (), validate: bool = True
    ) -> FileEdit:
        """Edit the text of the file under the lock, and write it if the result is right.

        `key_path` is the setting that the edit is about. Raises TljhError: with exit code 4
        when another process holds the lock past the deadline, and with every problem when the
        edit would add a mistake.
        """
        # Imported before the lock is taken, so that no other process waits for our imports.
        from tljh.settings import validation  # noqa: F401

        target = self.path.resolve()
        try:
            with self.host.lock(edit_lock(target), timeout_s=self.lock_timeout_s):
                self._remove_leftovers(target)
                file_edit = self.apply(
                    edit, read_file(self.path), key_path=key_path, validate=validate
                )
                if file_edit.is_change:
                    self._write(target, file_edit.after.encode("utf-8"))
        except PermissionError:
            raise permission_error(self.path) from None
        except FileNotFoundError as error:
            raise TljhError(
                f"there is no directory {target.parent}",
                fix="install a hub first, or name another file with --config-path",
            ) from error
        except OSError as error:
            raise TljhError(
                f"{self.path} could not be written, and is as it was",
                why=error.strerror or str(error),
                fix="make room on its disk" if error.errno in (28, 122) else None,
            ) from error
        return file_edit

    def apply(
        self,
        edit: Callable[[str], str],
        data: bytes,
        *,
        key_path: KeyPath = (),
        validate: bool = True,
    ) -> FileEdit:
        """Apply an edit to `data` and check the result, without writing. Raises like `change`."""
        text = self._parsed(data).text
        after = self._edited(edit, text)
        notes = self._check_edit(text, after, key_path) if validate else ()
        return FileEdit(text, after, notes)

    def _edited(self, edit: Callable[[str], str], text: str) -> str:
        try:
            return edit(text)
        except TljhError as error:
            # Editors of a text do not know the name of its file.
            findings = [
                replace(finding, where=replace(finding.where, path=str(self.path)))
                if finding.where
                else finding
                for finding in error.findings
            ]
            raise TljhError(findings, exit_code=error.exit_code) from error

    def replace(self, before: bytes, after: bytes) -> None:
        """Write a new text, which the caller has checked.

        Raises TljhError when the file no longer holds `before`: another process wrote it.
        """
        target = self.path.resolve()
        with self.host.lock(edit_lock(target), timeout_s=self.lock_timeout_s):
            if read_file(self.path) != before:
                raise TljhError(
                    f"{self.path} was changed by another process while it was being edited",
                    why="writing it now would overwrite that change",
                    fix=f"compare the two before you copy yours: sudo diff {self.path} YOURS",
                )
            self._write(target, after)

    def _remove_leftovers(self, target: Path) -> None:
        """Remove temporary files of writers that were killed.

        A writer holds the lock, which is ours now, so no process needs them any more.
        """
        import time

        for name in self.host.listdir(target.parent):
            if _LEFTOVER.match(name):
                leftover = target.with_name(name)
                if time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE_S:
                    self.host.remove(leftover)

    def _write(self, target: Path, data: bytes) -> None:
        info = self.host.info(target)
        owner, group = (info.owner, info.group) if info else _own_ids()
        self.host.write(target, data, mode=0o600, owner=owner, group=group)

    def _check_edit(self, before: str, after: str, key_path: KeyPath) -> tuple[Finding, ...]:
        """Return warnings about the edit. Raises TljhError when it adds a mistake."""
        old, new = self.examine(before.encode("utf-8")), self.examine(after.encode("utf-8"))
        if self._file_problems is not None:
            for examined in (old, new):
                examined.problems += self._file_problems(examined.config, self.host)
        added = _added(old.problems, new.problems)
        findings = [
            _refused(problem)
            if problem.path[: len(key_path)] == key_path
            else problem.as_finding(new.place(problem.path, at_key=problem.at_key))
            for problem in added
            if problem.severity == "error"
        ]
        if findings:
            raise TljhError(findings)
        return tuple(problem.as_finding() for problem in added)


def _added(old: list[Problem], new: list[Problem]) -> list[Problem]:
    """Return the problems of `new` that `old` does not have."""
    remaining = Counter(_identity(problem) for problem in old)
    added = []
    for problem in new:
        remaining[_identity(problem)] -= 1
        if remaining[_identity(problem)] < 0:
            added.append(problem)
    return added


def _identity(problem: Problem) -> tuple[KeyPath, str]:
    """Return what a problem keeps when an item before it in its list is added or removed."""
    path = tuple(step for step in problem.path if not isinstance(step, int))
    return path, problem.what.replace(key_text(problem.path), key_text(path))


def _refused(problem: Problem) -> Finding:
    """Return the finding for a value that is not written.

    It has no place: the text that holds the value is not on disk. Nor does it offer to reset
    the setting, because the value in the file may be right.
    """
    path, _ = _identity(problem)
    if not problem.fix_resets:
        return problem.as_finding()
    return replace(problem, fix=f"see: tljh-config describe {key_text(path)}").as_finding()


def _own_ids() -> tuple[str, str]:
    import os

    return str(os.geteuid()), str(os.getegid())
