"""Settings of the hub's pages: name, logo, links, announcement, login text, templates."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import FilePath

IMAGE_ENDINGS = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp")
_FOLDER = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*/?$")
_LINK = re.compile(r"^(https?://|mailto:|/)[^\s\"'`{}<>]*$")
_MOST_CHARACTERS = 1000


def _check_image(value: str) -> str:
    if not value.lower().endswith(IMAGE_ENDINGS):
        endings = ", ".join(ending[1:] for ending in IMAGE_ENDINGS)
        raise ValueError(f"must be the path of an image ({endings}), not {value!r}")
    return value


def _check_link(value: str) -> str:
    if not _LINK.match(value):
        raise ValueError(
            f"must be a link like https://example.org/help, mailto:it@example.org or /path, "
            f"not {value!r}"
        )
    return value


def _check_label(value: str) -> str:
    if not value.strip() or len(value) > 60:
        raise ValueError("must be the text of a link, with 1 to 60 characters")
    return value


def _check_text(value: str) -> str:
    if len(value) > _MOST_CHARACTERS:
        raise ValueError(f"must have at most {_MOST_CHARACTERS} characters, not {len(value)}")
    return value


def _check_title(value: str) -> str:
    if not value.strip() or len(value) > 100 or "\n" in value:
        raise ValueError("must be one line with 1 to 100 characters")
    return value


def _check_folder(value: str) -> str:
    if value.startswith("/"):
        name = PurePosixPath(value).name or "templates"
        raise ValueError(
            f"must be a directory in config/jupyterhub_config.d, such as {name}, not {value!r}: "
            "its files are checked and applied together, and go back with a rollback"
        )
    if not _FOLDER.match(value):
        raise ValueError(f"must be the name of a directory, such as templates, not {value!r}")
    return value.rstrip("/")


Image = Annotated[FilePath, AfterValidator(_check_image)]
Link = Annotated[str, AfterValidator(_check_link)]
Label = Annotated[str, AfterValidator(_check_label)]
Text = Annotated[str, AfterValidator(_check_text)]
Title = Annotated[str, AfterValidator(_check_title)]
Folder = Annotated[str, AfterValidator(_check_folder)]


class StoppedServerSettings(Section):
    """The page at the address of a server that does not run, where the hub serves no page."""

    title: Title = setting(
        "This server is not running",
        help="Title of the page.",
        cost=Cost.NOTHING,
        example="Your session has ended",
    )
    text: Text = setting(
        "It was stopped, or it has not been started yet.",
        help="Text of the page.",
        cost=Cost.NOTHING,
        example="Sessions end after an hour.",
    )
    links: dict[Label, Link] = setting(
        {},
        help="Links of the page, by their texts; without any, it links to the hub's home page or "
        "to the program at / in proxy.extra_routes, where there is one.",
        cost=Cost.NOTHING,
    )
    before_programs: bool = setting(
        False,
        help="Whether the page also answers where proxy.extra_routes has a program for /, which "
        "gets these requests otherwise.",
        cost=Cost.NOTHING,
    )


class PagesSettings(Section):
    """What the hub's pages show to all users."""

    title: Title = setting(
        "JupyterHub",
        help="Name of the hub in the title of its pages.",
        cost=Cost.HUB_RESTART,
        example="Physics 101",
    )
    logo: Image | None = setting(
        None,
        help="Image file in place of JupyterHub's logo.",
        cost=Cost.HUB_RESTART,
        example="/srv/logo.svg",
    )
    help_links: dict[Label, Link] = setting(
        {},
        help="Links at the top of each page, by their texts.",
        cost=Cost.HUB_RESTART,
    )
    announcement: Text = setting(
        "",
        help="Text at the top of each page; tljh announce shows one without a restart of the hub.",
        cost=Cost.HUB_RESTART,
        example="The course begins on Monday.",
    )
    login_text: Text = setting(
        "",
        help="Text above the form of the login page.",
        cost=Cost.HUB_RESTART,
        example="Log in with your student number.",
    )
    templates: Folder | None = setting(
        None,
        help="Directory with templates that replace or extend those of JupyterHub's pages, in "
        "config/jupyterhub_config.d. Each is rendered with sample data before the hub uses it.",
        cost=Cost.HUB_RESTART,
        example="templates",
    )
    stopped_server: StoppedServerSettings = section(
        StoppedServerSettings,
        help="Page at the address of a server that does not run, where the hub serves no page.",
    )
