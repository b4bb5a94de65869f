"""Check of an admin's page templates, before a hub starts that would answer 500 with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tljh.base.errors import Finding, Place

# Where tljh's own templates are.
OWN_TEMPLATES = Path(__file__).parent / "process" / "templates"

# Given to every page by JupyterHub's handlers, or read by a page only now and then.
_COMMON = frozenset(
    {
        *("base_url", "prefix", "user", "login_url", "login_service", "logout_url", "logo_url"),
        *("static_url", "version_hash", "services", "parsed_scopes", "expanded_scopes", "xsrf"),
        *("xsrf_token", "announcement", "authenticator", "no_spawner_check", "custom_html"),
        *("pages_title", "pages_help_links", "pages_login_text", "password_page"),
        *("status_code", "status_message", "message", "message_html", "extra_error_html"),
        *("exception", "reason", "spawner", "server_name", "auth_state", "next", "error"),
    }
)


def find_broken_templates(c: Any, ours: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Report each file in `JupyterHub.template_paths` that cannot be rendered, with its line.

    Pages are rendered as the hub would, with sample data in place of a user's. A directory of
    `ours` must exist; the hub ignores another one that does not.
    """
    names = c.JupyterHub.get("template_paths", ())
    directories = [Path(name) for name in names if Path(name).is_dir()]
    for name in ours.get("JupyterHub", {}).get("template_paths", ()):
        if not Path(name).is_dir():
            yield Finding(
                f"there is no directory {name} for templates",
                fix="create it with a template, or: sudo tljh-config unset pages.templates",
            )
    if not directories:
        return
    trial = _Trial(c, directories)
    for directory in directories:
        for path in sorted(directory.rglob("*.html")):
            finding = trial.find_mistake(directory, path)
            if finding is not None:
                yield finding


class _Trial:
    """The hub's templates as it would load them, and the names that its pages get."""

    def __init__(self, c: Any, directories: list[Path]) -> None:
        from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
        from jupyterhub.app import JupyterHub

        (jupyterhubs,) = JupyterHub()._template_paths_default()[:1]
        options = {**c.JupyterHub.get("jinja_environment_options", {}), "enable_async": False}
        stock = FileSystemLoader([str(OWN_TEMPLATES), jupyterhubs])
        # JupyterHub's own loaders, in their order.
        self._environment = Environment(
            loader=ChoiceLoader(
                [
                    PrefixLoader({"templates": FileSystemLoader([jupyterhubs])}, "/"),
                    FileSystemLoader([*map(str, directories), str(OWN_TEMPLATES), jupyterhubs]),
                ]
            ),
            **{"autoescape": True, **options},
        )
        self._stock = Environment(loader=stock, extensions=options.get("extensions", ()))
        self._pages = frozenset(stock.list_templates())
        self._variables = frozenset(c.JupyterHub.get("template_vars", {}))
        self._directories = directories

    def find_mistake(self, directory: Path, path: Path) -> Finding | None:
        """Return what is wrong with one template; None if it renders."""
        from jinja2 import TemplateNotFound, TemplateSyntaxError

        name = path.relative_to(directory).as_posix()
        try:
            self._environment.parse(path.read_text(encoding="utf-8"))
            template = self._environment.get_template(name)
            # Conditions are true in one of them and false in the other.
            for text in ("sample", ""):
                template.render(self._make_data(name, text))
        except TemplateSyntaxError as error:
            return _report(Path(error.filename or path), error.lineno, error.message or "")
        except TemplateNotFound as error:
            return _report(*self._find_line(path, error), f"there is no template {error.name}")
        except (OSError, UnicodeDecodeError) as error:
            return Finding(
                f"the template {path.name} cannot be read",
                where=Place(str(path)),
                why=str(error),
                fix="correct the file, in UTF-8, or remove it",
            )
        except Exception as error:
            # Part of a page gets its data from the page that includes it, and is tried with that.
            if name in self._pages:
                return _report(*self._find_line(path, error), f"{type(error).__name__}: {error}")
        return None

    def _find_line(self, path: Path, error: Exception) -> tuple[Path, int | None]:
        """Return the admin's template and its line at which rendering `path` failed."""
        place: tuple[Path, int | None] = (path, None)
        trace = error.__traceback__
        while trace is not None:
            file = Path(trace.tb_frame.f_code.co_filename)
            if any(file.is_relative_to(directory) for directory in self._directories):
                place = (file, trace.tb_lineno)
            trace = trace.tb_next
        return place

    def _make_data(self, name: str, text: str) -> dict[str, Any]:
        from tljh.hub.template_samples import Sample

        names = _COMMON | self._find_names(name) | self._variables
        return {each: Sample(text) for each in names}

    def _find_names(self, name: str) -> frozenset[str]:
        """Return the names that the page of JupyterHub or tljh with this name uses."""
        from jinja2 import meta

        pages = [name] if name in self._pages else sorted(self._pages)
        names: set[str] = set()
        for page in pages:
            for prefix in ("", "templates/"):
                source = self._read_stock(prefix + page)
                if source is not None:
                    names |= meta.find_undeclared_variables(self._stock.parse(source))
        return frozenset(names)

    def _read_stock(self, name: str) -> str | None:
        from jinja2 import TemplateNotFound

        loader = self._environment.loader if name.startswith("templates/") else self._stock.loader
        assert loader is not None
        try:
            return loader.get_source(self._stock, name)[0]
        except TemplateNotFound:
            return None


def _report(path: Path, line: int | None, why: str) -> Finding:
    return Finding(
        f"the template {path.name} has a mistake",
        where=Place(str(path), line),
        why=f"{why}; the hub would answer with status 500",
        fix="correct the line, or remove the file",
    )
