"""Templates are rendered with sample data: what would be a page with status 500 is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import nativeauthenticator
import pytest
from jupyterhub.app import JupyterHub
from traitlets.config import Config as TraitletsConfig

from tljh.base.errors import Finding
from tljh.hub.template_checks import OWN_TEMPLATES, find_broken_templates

STOCK = Path(JupyterHub()._template_paths_default()[0])
NATIVES = Path(nativeauthenticator.__file__).with_name("templates")


def findings_in(directory: Path, **variables: object) -> list[Finding]:
    c = TraitletsConfig()
    c.JupyterHub.template_paths = [str(directory)]
    c.JupyterHub.template_vars = variables
    return list(find_broken_templates(c, {}))


@pytest.mark.parametrize("source", [STOCK, OWN_TEMPLATES, NATIVES], ids=["stock", "own", "native"])
def test_templates_that_work_are_fine(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    if source == STOCK:
        # A copy of the page that all others extend, as admins make one to change it.
        assert (tmp_path / "page.html").is_file()
    assert [str(finding) for finding in findings_in(tmp_path)] == []


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("{% extends 'page.html' %}\n{% endblok %}\n", 2, "endblok"),
        (
            "{% extends 'page.html' %}\n{% block main %}{{ 1 | no_such }}{% endblock %}",
            2,
            "no_such",
        ),
        ("{% extends 'no-such-page.html' %}\n", 1, "no-such-page.html"),
        ("<p>\n\n{{ course.teacher }}\n", 3, "course"),
        ("{{ 1 / 0 }}\n", 1, "ZeroDivisionError"),
        ("{% if user %}\n{{ no_such() }}\n{% endif %}", 2, "no_such"),
        ("{% if not user %}\n{{ no_such() }}\n{% endif %}", 2, "no_such"),
        ("{% extends 'page.html' %}\n{% block main %}\n{{ x.y }}{% endblock %}", 3, "x"),
        ("a\n{% include 'part.txt' %}\n", 2, "part.txt"),
    ],
)
def test_mistake_is_found_with_file_and_line(
    text: str, line: int, why: str, tmp_path: Path
) -> None:
    page = tmp_path / "login.html"
    page.write_text(text)
    (finding,) = findings_in(tmp_path)
    assert str(finding.where) == f"{page}, line {line}"
    assert finding.why is not None and why in finding.why


def test_mistake_in_a_part_of_a_page_is_found_in_the_part(tmp_path: Path) -> None:
    (tmp_path / "login.html").write_text("{% set course = 'physics' %}{% include 'part.html' %}")
    part = tmp_path / "part.html"
    part.write_text("{{ course.upper() }}\n")
    assert findings_in(tmp_path) == []
    part.write_text("{{ course.upper() }}\n{{ teacher.name }}\n")
    (finding,) = findings_in(tmp_path)
    assert str(finding.where) == f"{part}, line 2"


@pytest.mark.parametrize(
    "text",
    [
        "{{ course.teacher }}",
        "{% for link in pages_help_links %}{{ link.url }}{% endfor %}",
        "{% for name, value in course.items() %}{{ name }}{% endfor %}",
        "{{ user.name[:3] | upper }} {{ user.spawners | length > 2 }} {{ course | tojson }}",
        "{{ static_url('x') }} {{ login_error or 'none' }}",
        "{% if announcement is string %}{{ announcement | safe }}{% endif %}",
    ],
)
def test_variables_of_pages_and_of_the_admin_are_known(text: str, tmp_path: Path) -> None:
    (tmp_path / "login.html").write_text(text)
    assert findings_in(tmp_path, course={"teacher": "Ada"}) == []


def test_directory_of_the_setting_must_exist(tmp_path: Path) -> None:
    name = str(tmp_path / "pages")
    c = TraitletsConfig()
    c.JupyterHub.template_paths = [name]
    (finding,) = find_broken_templates(c, {"JupyterHub": {"template_paths": [name]}})
    assert name in finding.what
    assert list(find_broken_templates(c, {})) == []
