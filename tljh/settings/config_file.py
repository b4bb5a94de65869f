"""config.yaml on disk: read, edited under a lock, checked, and written so that it survives.

Whoever changes the file comes through here: the commands, the installer, plugins. A change that
would make the configuration wrong is refused and leaves the file as it was; a file that is
wrong already may be mended step by step.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.files import edit_lock, permission_error, read_file
from tljh.settings.keys import key_text, parse_key
from tljh.settings.yaml_tree import Document, parse

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tljh.host.interface import Host
    from tljh.settings.declaration import KeyPath, Problem
    from tljh.settings.root import Config
    from tljh.settings.shape import Shape
    from tljh.settings.trait_catalogue import Catalogue
    from tljh.settings.validation import Examined

LOCK_TIMEOUT_S = 30.0


_LEFTOVER = re.compile(r"^\.config\.yaml\.[a-z0-9_]{8}$")


_LEFTOVER_AGE_S = 60


@dataclass(frozen=True)
class Changed:
    """An edit of the file: what stood there, what stands there, and what to tell about it."""

    before: str
    after: str
    notes: tuple[Finding, ...] = ()

    @property
    def is_change(self) -> bool:
        return self.before != self.after


class ConfigFile:
    """One configuration file, with what is known about the sections it may have."""

    def __init__(
        self,
        path: Path,
        *,
        catalogue: Catalogue | Path | None = None,
        plugin_sections: dict[str, type[BaseModel] | None] | None = None,
        host: Host | None = None,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        self.path = path
        self._catalogue = catalogue
        self.plugin_sections = plugin_sections or {}
        self.lock_timeout_s = lock_timeout_s
        self._host = host

    @property
    def catalogue(self) -> Catalogue | None:
        """What classes are installed; read from its file when it is first asked for."""
        if isinstance(self._catalogue, Path):
            from tljh.settings.trait_catalogue import Catalogue

            try:
                self._catalogue = Catalogue.parse(self._catalogue.read_bytes())
            except OSError:
                self._catalogue = None
        return self._catalogue

    @property
    def host(self) -> Host:
        if self._host is None:
            from tljh.host.real import RealHost

            self._host = RealHost()
        return self._host

    def examine(self, data: bytes | None = None) -> Examined[Config]:
        """The file (or other content in its place) as settings, with all that is wrong."""
        from tljh.settings.load import examine

        return examine(
            read_file(self.path) if data is None else data,
            path=str(self.path),
            catalogue=self.catalogue,
            plugin_sections=self.plugin_sections,
        )

    def document(self) -> Document:
        """The file as it stands. Raises TljhError when it is no YAML, which no edit can mend."""
        return self._parsed(read_file(self.path))

    def _parsed(self, data: bytes) -> Document:
        document = parse(data)
        if document.problems and document.root is None:
            raise self.unreadable(document)
        return document

    def unreadable(self, document: Document) -> TljhError:
        from tljh.base.errors import Place

        findings = [
            Finding(one.what, Place(str(self.path), one.line, one.column), fix=one.fix)
            for one in document.problems
        ]
        return TljhError([*findings, Finding("nothing was changed", fix="sudo tljh-config edit")])

    def key(self, key: str) -> KeyPath:
        """Split a key by what the schema knows of it."""
        return parse_key(key, self.shape)

    @property
    def shape(self) -> Shape:
        from tljh.settings.root import Config
        from tljh.settings.shape import shape_of

        return shape_of(Config)

    def known(self, key: str) -> tuple[KeyPath, Shape]:
        """Path and shape of a key. Raises TljhError, with the nearest name, for an unknown one."""
        path = self.key(key)
        shape = self.shape_at(path)
        if shape is not None:
            return path, shape
        from difflib import get_close_matches

        from tljh.settings.keys import setting_keys
        from tljh.settings.root import Config

        above = self.shape_at(path[:-1]) if len(path) > 1 else self.shape
        last = str(path[-1])
        near = [
            key_text((*path[:-1], name))
            for name in get_close_matches(last, above.fields if above else (), 1, 0.6)
        ] or get_close_matches(key, setting_keys(Config), 1, 0.6)
        same = [one for one in setting_keys(Config) if one.rpartition(".")[2] == last]
        guess = near or same[:2]
        raise TljhError(
            f"there is no setting {key_text(path)}",
            fix=f"did you mean {' or '.join(guess)}?" if guess else "see: tljh-config describe",
        )

    def shape_at(self, path: KeyPath) -> Shape | None:
        """What may stand at a path: by the schema, the installed classes, plugins' sections."""
        from tljh.settings.secret_names import looks_secret
        from tljh.settings.shape import ANYTHING, Shape, shape_at, shape_of

        first = str(path[0])
        in_auth = first == "auth" and len(path) > 1 and str(path[1])[:1].isupper()
        if first[:1].isupper() or in_auth:
            section, rest = (path[1], path[2:]) if in_auth else (path[0], path[1:])
            # In the place of a trait; checked only where the classes are known.
            of_file = len(rest) > 1 and rest[-1] == "file" and looks_secret(str(rest[-2]))
            if self.catalogue is None or str(section) not in self.catalogue.classes:
                if of_file:
                    return Shape("text")
                is_secret = bool(rest) and looks_secret(str(rest[-1]))
                return Shape("text", secret=True, may_be_file=True) if is_secret else ANYTHING
            return shape_at(self.catalogue.shape(str(section)), rest)
        if first in self.shape.fields:
            return shape_at(self.shape, path)
        if first in self.plugin_sections:
            model = self.plugin_sections[first]
            return ANYTHING if model is None else shape_at(shape_of(model), path[1:])
        if first in self.examine().config.plugins.sections:
            return ANYTHING
        return None

    def change(
        self, edit: Callable[[str], str], *, at: KeyPath = (), validate: bool = True
    ) -> Changed:
        """Edit the file's text under the lock and write it, if what comes out is right.

        `at` is what the edit is about. Raises TljhError: with exit code 4 when the lock is
        held past the deadline, and with what is wrong when the edit would add a mistake.
        """
        # Imported before the lock is taken: nobody should wait for our imports.
        from tljh.settings import validation  # noqa: F401

        target = self.path.resolve()
        try:
            with self.host.lock(edit_lock(target), timeout_s=self.lock_timeout_s):
                self._remove_leftovers(target)
                changed = self.edited(read_file(self.path), edit, at=at, validate=validate)
                if changed.is_change:
                    self._write(target, changed.after.encode("utf-8"))
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
        return changed

    def edited(
        self,
        data: bytes,
        edit: Callable[[str], str],
        *,
        at: KeyPath = (),
        validate: bool = True,
    ) -> Changed:
        """Return what `edit` makes of the content `data`; writes nothing. Raises like `change`."""
        document = self._parsed(data)
        after = self._edited(edit, document.text)
        notes = self._refuse_mistakes(document.text, after, at) if validate else ()
        return Changed(document.text, after, notes)

    def _edited(self, edit: Callable[[str], str], text: str) -> str:
        try:
            return edit(text)
        except TljhError as error:
            # Whoever edits a text does not know what file it is of.
            raise TljhError(
                [
                    replace(one, where=replace(one.where, path=str(self.path)))
                    if one.where
                    else one
                    for one in error.findings
                ],
                exit_code=error.exit_code,
            ) from error

    def replace(self, before: bytes, after: bytes) -> None:
        """Write a whole new text, checked by the caller, unless somebody else wrote meanwhile."""
        target = self.path.resolve()
        with self.host.lock(edit_lock(target), timeout_s=self.lock_timeout_s):
            if read_file(self.path) != before:
                raise TljhError(
                    f"{self.path} was changed by somebody else while it was being edited",
                    why="to write it now would undo what they wrote",
                    fix=f"compare the two before you copy yours: sudo diff {self.path} YOURS",
                )
            self._write(target, after)

    def _remove_leftovers(self, target: Path) -> None:
        """Temporary files of writers that were killed; we hold the lock, so they are nobody's."""
        import time

        for name in self.host.listdir(target.parent):
            if _LEFTOVER.match(name):
                left = target.with_name(name)
                if time.time() - left.stat().st_mtime > _LEFTOVER_AGE_S:
                    self.host.remove(left)

    def _write(self, target: Path, data: bytes) -> None:
        info = self.host.info(target)
        owner, group = (info.owner, info.group) if info else _own_names()
        self.host.write(target, data, mode=0o600, owner=owner, group=group)

    def _refuse_mistakes(self, before: str, after: str, at: KeyPath) -> tuple[Finding, ...]:
        """What the edit leaves to do; raises when it adds a mistake of its own."""
        from tljh.operations.referenced_files import referenced_file_problems

        old, new = self.examine(before.encode("utf-8")), self.examine(after.encode("utf-8"))
        for examined in (old, new):
            examined.problems += referenced_file_problems(examined.config, self.host)
        known = Counter(_in_any_place(one) for one in old.problems)
        added = []
        for one in new.problems:
            known[_in_any_place(one)] -= 1
            if known[_in_any_place(one)] < 0:
                added.append(one)
        errors = [one for one in added if one.severity == "error"]
        if errors:
            # Places in a text that is not written would only mislead.
            raise TljhError(
                [
                    Finding(one.what, None, one.why, _fix_of_refused(one))
                    if one.path[: len(at)] == at
                    else Finding(one.what, new.place(one.path, at_key=one.at_key), one.why, one.fix)
                    for one in errors
                ]
            )
        return tuple(Finding(one.what, None, one.why, one.fix) for one in added)


def _in_any_place(problem: Problem) -> tuple[KeyPath, str]:
    """What makes a problem the same one although an item before it came or went."""
    path = tuple(step for step in problem.path if not isinstance(step, int))
    return path, problem.what.replace(key_text(problem.path), key_text(path))


def _fix_of_refused(problem: Problem) -> str | None:
    """What to do about a value that was not written: what stands there may well be right."""
    path, _ = _in_any_place(problem)
    return f"see: tljh-config describe {key_text(path)}" if problem.fix_resets else problem.fix


def _own_names() -> tuple[str, str]:
    import os

    return str(os.geteuid()), str(os.getegid())
