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
from shlex import quote
from typing import TYPE_CHECKING

from tljh.base import interruptions
from tljh.base.errors import Finding, TljhError
from tljh.base.files import edit_lock, make_permission_error, read_file
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.settings.keys import find_nearest, format_key, parse_key
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_tree import Document

if TYPE_CHECKING:
    from tljh.host.interface import Host, HostReader
    from tljh.settings.declaration import KeyPath, Problem
    from tljh.settings.file_reader import PluginSections
    from tljh.settings.root import Config
    from tljh.settings.shape import Shape
    from tljh.settings.trait_catalogue import Catalogue
    from tljh.settings.validation import ExaminedFile

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
        files = catalogue if isinstance(catalogue, HubEnvironmentFiles) else None
        self._plugin_record = files.contributions if files else None
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
    def model(self) -> type[Config]:
        """The settings, with the sections that installed plugins declare."""
        from tljh.settings.root import Config

        record = self._plugin_record
        if record is None or not record.is_file():
            return Config
        from tljh.settings.plugin_sections import extend_config

        return extend_config(record.read_bytes())

    @property
    def shape(self) -> Shape:
        from tljh.settings.shape import derive_shape

        return derive_shape(self.model)

    def examine(self, data: bytes | None = None) -> ExaminedFile[Config]:
        """Check the file, or `data` in its place; return its settings and every problem."""
        from tljh.settings.load import examine

        return examine(
            read_file(self.path) if data is None else data,
            path=str(self.path),
            catalogue=self.catalogue,
            plugin_sections=self.plugin_sections,
            model=self.model,
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
        """Split a key of the command line into its steps, by the schema."""
        return parse_key(key, self.shape)

    def look_up(self, key: str) -> tuple[KeyPath, Shape]:
        """Return the steps and the shape of a key. Raises TljhError if unknown.

        The error names the nearest known key.
        """
        path = self.parse_key(key)
        shape = self.find_shape_at(path)
        if shape is not None:
            return path, shape
        from tljh.settings.known_mistakes import find_fix_of_known_mistake

        fix = find_fix_of_known_mistake(path)
        if fix is None:
            guesses = self._near_keys(key, path)
            fix = (
                f"did you mean {' or '.join(guesses)}?" if guesses else "see: tljh-config describe"
            )
        raise TljhError(f"there is no setting {format_key(path)}", fix=fix)

    def _near_keys(self, key: str, path: KeyPath) -> list[str]:
        from tljh.settings.keys import setting_keys

        section = self.find_shape_at(path[:-1]) if len(path) > 1 else self.shape
        keys, last = setting_keys(self.model), str(path[-1])
        near = find_nearest(last, section.fields if section else ())
        if near:
            return [format_key((*path[:-1], near))]
        same_name = [other for other in keys if other.rpartition(".")[2] == last]
        near = find_nearest(key, keys)
        return [near] if near else same_name[:2]

    def find_shape_at(self, path: KeyPath) -> Shape | None:
        """Return the shape of the value at a path; None if unknown.

        The schema, the installed classes and plugins' sections are known.
        """
        from tljh.settings.shape import ANYTHING, derive_shape, find_shape

        first = str(path[0])
        if first[:1].isupper():
            return self._find_trait_shape(path)
        if first == "auth" and len(path) > 1 and str(path[1])[:1].isupper():
            return self._find_trait_shape(path[1:])
        if first in self.shape.fields:
            return find_shape(self.shape, path)
        if first in self.plugin_sections:
            model = self.plugin_sections[first]
            return ANYTHING if model is None else find_shape(derive_shape(model), path[1:])
        if first in self.examine().config.plugins.sections:
            return ANYTHING
        return None

    def _find_trait_shape(self, path: KeyPath) -> Shape | None:
        """Return the shape of a trait at a path below a class.

        For a class that is not installed it is guessed from the trait's name.
        """
        from tljh.settings.redaction import looks_secret
        from tljh.settings.shape import ANYTHING, Shape, find_shape

        class_name, traits = str(path[0]), [str(step) for step in path[1:]]
        if self.catalogue is not None and class_name in self.catalogue.classes:
            return find_shape(self.catalogue.build_shape(class_name), traits)
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
            raise make_permission_error(self.path) from None
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
                    fix="compare the two before you copy yours: "
                    f"sudo diff {quote(str(self.path))} YOURS",
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
        owner, group = (info.owner, info.group) if info else _get_process_ids()
        with interruptions.held_back():
            self.host.write(target, data, mode=0o600, owner=owner, group=group)
            interruptions.keep_change()

    def _check_edit(self, before: str, after: str, key_path: KeyPath) -> tuple[Finding, ...]:
        """Return warnings about the edit. Raises TljhError when it adds a mistake."""
        old, new = self.examine(before.encode("utf-8")), self.examine(after.encode("utf-8"))
        if self._file_problems is not None:
            for examined in (old, new):
                examined.problems += self._file_problems(examined.config, self.host)
        added = _added(old.problems, new.problems)
        findings = [
            _describe_refused_edit(problem)
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
    remaining = Counter(_identify_problem(problem) for problem in old)
    added = []
    for problem in new:
        remaining[_identify_problem(problem)] -= 1
        if remaining[_identify_problem(problem)] < 0:
            added.append(problem)
    return added


def _identify_problem(problem: Problem) -> tuple[KeyPath, str]:
    """Return by what a problem is recognized in the text after an edit.

    The position in a list is left out: it changes when an item before it is added or removed.
    """
    path = tuple(step for step in problem.path if not isinstance(step, int))
    return path, problem.what.replace(format_key(problem.path), format_key(path))


def _describe_refused_edit(problem: Problem) -> Finding:
    """Return the finding for a mistake that the refused edit would have made.

    It has no place: the text that holds the value is not on disk. Nor does it offer to reset the
    setting, because the value in the file may be right.
    """
    path, _ = _identify_problem(problem)
    if not problem.fix_resets:
        return problem.as_finding()
    return replace(problem, fix=f"see: tljh-config describe {quote(format_key(path))}").as_finding()


def _get_process_ids() -> tuple[str, str]:
    import os

    return str(os.geteuid()), str(os.getegid())
