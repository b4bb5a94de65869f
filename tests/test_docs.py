"""What is written for people is complete, and true as far as a test can tell."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tljh.cli.verbs import CONFIG, TLJH, Group
from tljh.plugins import hookspecs as hooks
from tljh.settings.keys import setting_keys
from tljh.settings.root import Config

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HOOKS = [name for name in vars(hooks) if name.startswith("tljh_")]
EDITING = "get|set|unset|add-item|remove-item|describe|show"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code_of(page: Path) -> str:
    """All that is set as code: indented lines, fences and spans."""
    text = page.read_text()
    blocks = re.findall(r"^(?:    |\t)(.*)$", text, re.M)
    blocks += re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)
    # `a\|b` is how a table writes a|b.
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)]).replace("\\|", "|")


def commands_of(group: Group, *before: str) -> Iterator[tuple[str, ...]]:
    for name, verb in group.verbs.items():
        if not isinstance(verb, Group):
            yield (*before, name)
        elif verb is not CONFIG:
            yield from commands_of(verb, *before, name)


ALL_CODE = "\n".join(code_of(page) for page in PAGES)


@pytest.mark.parametrize("command", list(commands_of(TLJH)), ids=" ".join)
def test_every_command_of_tljh_is_in_the_docs(command):
    group, verb = " ".join(command[:-1]), command[-1]
    if re.search(rf"^(sudo )?(tljh )?{' '.join(command)}\b", ALL_CODE, re.M):
        return
    row = re.search(rf"^\| `{group} .*$", (DOCS / "reference/exit-codes.md").read_text(), re.M)
    assert group and row and f"`{verb}`" in row[0], f"tljh {group} {verb} is nowhere"


@pytest.mark.parametrize("verb", CONFIG.verbs)
def test_every_command_of_tljh_config_is_in_the_docs(verb):
    assert re.search(rf"tljh-config {verb}\b", ALL_CODE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_docs_exist(page):
    code = code_of(page)
    known = {" ".join(command) for command in commands_of(TLJH)}
    for verb in re.findall(r"\btljh-config ([a-z][a-z-]*)", code):
        assert verb in CONFIG.verbs
    for first, second in re.findall(r"(?:^|sudo |&& |; )tljh ([a-z]+)(?: ([a-z][a-z-]*))?", code):
        if first == "config":
            assert not second or second in CONFIG.verbs
        elif isinstance(TLJH.verbs.get(first), Group):
            assert not second or f"{first} {second}" in known
        else:
            assert first in known, f"tljh {first}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_in_the_docs_exist(page):
    keys = set(setting_keys(Config))
    sections = {key.rsplit(".", count)[0] for key in keys for count in range(1, key.count(".") + 1)}
    pattern = rf"tljh-config (?:{EDITING}) ([a-z_]+(?:\.[A-Za-z0-9_]+)*)(?=[\s`.]|$)"
    for key in re.findall(pattern, code_of(page), re.M):
        is_trait = re.match(r"auth\.[A-Z]", key)
        # Names of a map's own are free below it.
        parents = {key.rsplit(".", count)[0] for count in range(key.count(".") + 1)}
        assert is_trait or key in sections or parents & keys, key


def test_every_option_of_the_bootstrap_is_in_the_guide_and_none_else():
    declared = (ROOT / "installer/tljh_installer/options.py").read_text()
    declared = re.sub(r"^.*SUPPRESS.*$", "", declared, flags=re.M)
    guide = (DOCS / "guides/install.md").read_text()
    options = set(re.findall(r'^(?:.*\(|\s+)"(--[a-z-]+)"', declared, re.M))
    table = set(re.findall(r"`(--[a-z-]+)", "\n".join(re.findall(r"^\|(.*?) \|", guide, re.M))))
    assert options == table


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_heading_with_its_arguments(name):
    arguments = ", ".join(inspect.signature(getattr(hooks, name)).parameters)
    assert f"\n### `{name}({arguments})`\n" in (DOCS / "guides/plugins.md").read_text()


def test_no_heading_is_for_a_hook_that_is_gone():
    headings = re.findall(r"^### `(\w+)\(", (DOCS / "guides/plugins.md").read_text(), re.M)
    assert headings == HOOKS


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\s-]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_page_is_reached_from_the_index():
    reached, ahead = set(), [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(page.read_text())]
        found = {(page.parent / link).resolve() for link in links if "://" not in link and link}
        ahead += [one for one in found if one.suffix == ".md" and one not in reached]
    assert {name_of(page) for page in PAGES} - {name_of(page) for page in reached} <= {
        "README.md",
        "CHANGELOG.md",
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_and_targets_that_are_named_exist(page):
    code = code_of(page)
    for path in re.findall(
        r"(?<![\w/.~-])((?:tljh|tests|docs|installer|integration-tests|benchmarks)/[\w./-]*)", code
    ):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= targets


def test_files_for_traefik_in_the_guide_are_ones_that_reload_takes():
    from tljh.proxy.traefik_drop_ins import parse_static_drop_ins, rules_findings

    text = (DOCS / "guides/proxy-drop-ins.md").read_text()
    blocks = re.findall(r"^    # (/\S+)\n((?:    .*\n|\n)+)", text, re.M)
    assert len(blocks) == 2
    for name, block in blocks:
        path, data = Path(name), re.sub(r"^    ", "", block, flags=re.M).encode()
        if path.parent.name == "rules":
            assert rules_findings({path.name: data}, path.parent) == []
        else:
            assert parse_static_drop_ins({path.name: data}, path.parent)


def test_every_long_test_has_a_line_about_its_last_run():
    text = (DOCS / "long-tests.md").read_text()
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "integration-tests").rglob("*.py")]
    pattern = r"^@pytest\.mark\.long\n(?:@.*\n)*def (\w+)"
    for name in (one for file in sources for one in re.findall(pattern, file.read_text(), re.M)):
        assert f"`{name}`" in text, f"{name} has no line in docs/long-tests.md"
