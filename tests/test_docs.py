"""Docs are complete, and true as far as a test can check them."""

from __future__ import annotations

import functools
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tljh.cli import typer_app
from tljh.cli.verbs import CONFIG, TLJH, Invocation, VerbGroup, import_function
from tljh.plugins import hookspecs as hooks
from tljh.settings.reference import describe_all
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
    """Return all that is set as code: indented lines, fences and spans."""
    text = page.read_text()
    # `a\|b` is how a table writes a|b.
    return "\n".join([blocks_of(page), *re.findall(r"`([^`\n]+)`", text)]).replace("\\|", "|")


def commands_of(group: VerbGroup, *before: str) -> Iterator[tuple[str, ...]]:
    for name, verb in group.verbs.items():
        if not isinstance(verb, VerbGroup):
            yield (*before, name)
        elif verb is not CONFIG:
            yield from commands_of(verb, *before, name)


COMMANDS_PAGE = DOCS / "reference/commands.md"
OPTIONS_OF_ALL = {"--json", "--debug", "--help"}


def commands_and_parsers() -> Iterator[tuple[str, Any]]:
    """Yield each command as it is typed, with its parser."""
    trees = (("tljh", commands_of(TLJH), TLJH), ("tljh-config", commands_of(CONFIG), CONFIG))
    for program, commands, tree in trees:
        for command in commands:
            verb: Any = tree
            for word in command:
                verb = verb.verbs[word]
            yield " ".join((program, *command)), typer_app._make_command(command[-1], verb)


def usage_of(parser: Any) -> set[str]:
    """Return the long options of a command."""
    options = set()
    for parameter in parser.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            # The page explains once that some options have a second name.
            opts = parameter.opts[:1] if parameter.opts[0] in typer_app.SYNONYMS else parameter.opts
            options |= {o for o in (*opts, *parameter.secondary_opts) if o.startswith("--")}
    return options - OPTIONS_OF_ALL


def test_the_page_of_commands_has_each_command_with_its_options_and_no_other():
    page = COMMANDS_PAGE.read_text()
    sections = dict(re.findall(r"^### (tljh.*)\n((?:(?!##).*\n)*)", page, re.M))
    declared = {command: usage_of(parser) for command, parser in commands_and_parsers()}
    assert list(sections) and sections.keys() == declared.keys()
    for command, text in sections.items():
        usage, *items = re.findall(r"^(?:    |- )(.*)$", text, re.M)
        assert usage.startswith(command), command
        assert set(re.findall(r"--[a-z-]+", "\n".join([usage, *items]))) == declared[command], (
            command
        )
        for option in re.findall(r"--[a-z-]+", usage):
            assert any(item.startswith(f"`{option}") for item in items), f"{command} {option}"


def test_the_page_of_commands_has_the_arguments_of_each():
    page = COMMANDS_PAGE.read_text()
    for command, parser in commands_and_parsers():
        (usage,) = re.findall(rf"^    {command}(?: (.*))?$", page, re.M)
        without_options = re.sub(r"\[--[^]]*\]", "", usage)
        arguments = [item for item in parser.params if item.param_type_name == "argument"]
        words = without_options.replace("…", "").split()
        assert len(words) == len(arguments), command
        for word, argument in zip(words, arguments, strict=True):
            assert argument.required is not word.startswith("["), f"{command} {word}"


def test_the_page_of_exit_codes_has_each_code():
    from tljh.base.errors import Exit

    page = (DOCS / "reference/exit-codes.md").read_text()
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.M)] == sorted(Exit)


# A line of code that is a command, after what may be in front of it in the docs.
COMMAND_LINE = re.compile(
    r"^\s*(?:fix: |- )?"
    r"(?P<line>(?:sudo (?:-\S+ )?(?:[A-Z_]+=\S+ )*)?(?:tljh|tljh-config|python3 \S+\.py)\b.*)$"
)
ENDS_A_COMMAND = {"&&", "||", "|", ";", "<", ">", "<<<"}


def blocks_of(page: Path) -> str:
    """Return the indented and the fenced code of a page."""
    text = page.read_text()
    blocks = re.findall(r"^(?:    |\t)(.*)$", text, re.M)
    return "\n".join([*blocks, *re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)])


def command_lines_of(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command in the code blocks of a page, without `sudo`."""
    if page == COMMANDS_PAGE:
        return
    for line in blocks_of(page).splitlines():
        if match := COMMAND_LINE.match(line):
            lexer = shlex.shlex(match["line"], posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            command: list[str] = []
            for word in [*lexer, ";"]:
                if word not in ENDS_A_COMMAND:
                    command.append(word)
                    continue
                while command and re.match(r"sudo$|-E$|[A-Z_]+=", command[0]):
                    command.pop(0)
                if command:
                    yield command
                command = []


def without_effect(reference: str) -> Callable[..., Any]:
    """Return a stand-in for a verb: the parser sees its parameters, a call does nothing."""

    @functools.wraps(import_function(reference))
    def stand_in(*arguments: Any, **options: Any) -> None:
        return None

    return stand_in


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_in_the_docs_are_accepted(page, monkeypatch):
    monkeypatch.setattr(typer_app, "import_function", without_effect)
    for words in command_lines_of(page):
        if words[0] in ("tljh", "tljh-config"):
            tree = TLJH if words[0] == "tljh" else CONFIG
            typer_app.call(words[0], tree, words[1:], Invocation())
        elif words[0] == "python3" and words[1].endswith("bootstrap.py"):
            bootstrap_parser().parse_args(words[2:])


def bootstrap_parser() -> Any:
    sys.path.insert(0, str(ROOT / "installer"))
    try:
        from tljh_installer.options import parser
    finally:
        sys.path.remove(str(ROOT / "installer"))
    return parser("0")


def test_a_command_line_that_is_wrong_is_found(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("    sudo tljh user add ann --grup staff   # no such option\n")
    with pytest.raises(Exception, match="--grup"):
        test_command_lines_in_the_docs_are_accepted(page, monkeypatch)


@pytest.mark.skipif(not find_spec("sphinx"), reason="Sphinx needs Python 3.11 or newer")
def test_the_site_builds_without_a_warning(tmp_path):
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "--nitpicky"]
    # This builder resolves every reference and writes no page.
    paths = ["-b", "dummy", "-c", str(DOCS), "-d", str(tmp_path / "cache"), str(ROOT)]
    done = subprocess.run(
        [*build, *paths, str(tmp_path / "site")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_docs_exist(page):
    code = code_of(page)
    commands = {" ".join(command[:2]) for command in commands_of(TLJH)}
    for verb in re.findall(r"\btljh-config ([a-z][a-z-]*)", code):
        assert verb in CONFIG.verbs
    for first, second in re.findall(
        r"(?:^|sudo |&& |; )tljh ([a-z]+)(?: ([a-z][a-z0-9-]*))?", code
    ):
        if first == "config":
            assert not second or second in CONFIG.verbs
        elif isinstance(TLJH.verbs.get(first), VerbGroup):
            assert not second or f"{first} {second}" in commands
        else:
            assert first in commands, f"tljh {first}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != COMMANDS_PAGE], ids=name_of)
def test_settings_in_the_docs_exist(page):
    keys = {item.key for item in describe_all(Config) if not item.is_section}
    sections = {key.rsplit(".", count)[0] for key in keys for count in range(1, key.count(".") + 1)}
    pattern = rf"tljh-config (?:{EDITING}) ([a-z_]+(?:\.[A-Za-z0-9_]+)*)(?=[\s`.]|$)"
    for key in re.findall(pattern, code_of(page), re.M):
        is_trait = re.match(r"auth\.[A-Z]", key)
        # Names of a map's own are free below it.
        # Below `services`, an admin's service has any name.
        key = re.sub(r"^services\.(?!cull)\w+", "services.NAME", key)
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
    assert sorted(headings) == sorted(HOOKS)


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\s-]", "", item.lower()).strip().replace(" ", "-") for item in headings}


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
        linked = {(page.parent / link).resolve() for link in links if "://" not in link and link}
        ahead += [item for item in linked if item.suffix == ".md" and item not in reached]
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
    from tljh.proxy.traefik_drop_ins import check_rules, parse_static_drop_ins

    text = (DOCS / "guides/proxy-drop-ins.md").read_text()
    blocks = re.findall(r"^    # (/\S+)\n((?:    .*\n|\n)+)", text, re.M)
    assert len(blocks) == 2
    for name, block in blocks:
        path, data = Path(name), re.sub(r"^    ", "", block, flags=re.M).encode()
        if path.parent.name == "rules":
            assert check_rules({path.name: data}, path.parent) == []
        else:
            assert parse_static_drop_ins({path.name: data}, path.parent)


def test_every_long_test_has_a_line_about_its_last_run():
    text = (DOCS / "long-tests.md").read_text()
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "integration-tests").rglob("*.py")]
    pattern = r"^@pytest\.mark\.long\n(?:@.*\n)*def (\w+)"
    for name in (item for file in sources for item in re.findall(pattern, file.read_text(), re.M)):
        assert f"`{name}`" in text, f"{name} has no line in docs/long-tests.md"


def test_every_test_that_the_page_about_security_names_exists():
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "integration-tests").rglob("*.py")]
    functions = {
        name
        for source in sources
        for name in re.findall(r"^def (test_\w+)", source.read_text(), re.M)
    }
    text = (DOCS / "security.md").read_text()
    assert set(re.findall(r"`(test_\w+)`", text)) <= functions
    assert set(re.findall(r"`(test_\w+\.py)`", text)) <= {source.name for source in sources}


def test_the_page_about_changes_has_the_directories_of_the_journal():
    from tljh.engine import journal

    page = (DOCS / "how-a-change-is-made.md").read_text()
    for directory in (journal.PENDING, journal.ROLLED_BACK):
        assert f"| `{directory}/` |" in page
    assert f"has {journal.KEPT_ENTRIES} states" in page


def test_the_page_about_the_supervisor_has_its_numbers():
    from tljh.proxy.supervisor import __main__ as supervisor
    from tljh.proxy.supervisor import handover, retirement

    page = (DOCS / "supervisor.md").read_text()
    defaults = supervisor.make_option_parser().parse_args(["--runtime", "/run/traefik"])
    for option in ("ready-timeout", "linger", "keep-alive"):
        seconds = getattr(defaults, option.replace("-", "_"))
        assert f"{seconds:g} s (`--{option}`)" in page, option
    assert f"SIGKILL after {defaults.stop_grace:g} s" in page
    assert f"more than {defaults.max_draining} are draining" in page
    assert f"more than {retirement.MOST_LEAVING} leaving" in page
    assert f"After {handover.CRASHES_IN_A_ROW} crashes in a row" in page
    for phase in ("starting", "serving", "leaving", "draining"):
        assert f"| {phase} |" in page


def files_in_the_table() -> list[tuple[re.Pattern[str], str, str]]:
    """Return path, mode and owner of each row, the path as a pattern."""
    text = (DOCS / "reference/files.md").read_text()
    rows = []
    for section in text.split("\n## "):
        owner = "root:traefik" if "group `traefik`" in section else "root:root"
        for path, mode in re.findall(r"^\| `(/[^`]+)` \| (\S+) \|", section, re.M):
            pattern = re.escape(path.rstrip("/")).replace("…", "[^/]+")
            rows.append((re.compile(pattern), mode.zfill(4), owner))
    return rows


def test_every_file_of_an_installation_is_in_the_table_of_files(monkeypatch):
    from dataclasses import replace

    from tests.operations import test_converge as machines
    from tljh.engine.file_resources import Directory, File, PathResource
    from tljh.operations.converge import work_out
    from tljh.operations.install_and_reload import make_install_request

    configuration = b"""
        https: {enabled: true, mode: internal}
        users: {admin: [ada], shared_folders: {course: pupils}}
    """
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
    host = machines.machine()
    request = replace(
        make_install_request(host, machines.PATHS, machines.ANSWERS),
        configuration=lambda _: configuration,
    )
    plan = work_out(host, machines.PATHS, request).plan
    rows = files_in_the_table()
    resources = [step.resource for step in plan.steps]
    paths = [resource for resource in resources if isinstance(resource, PathResource)]
    assert len(paths) > 50
    for resource in paths:
        inside = ("/opt/tljh/state/claims/",)
        if resource.name.startswith(inside):
            continue
        modes = [(mode, owner) for path, mode, owner in rows if path.fullmatch(resource.name)]
        assert len(modes) == 1, f"{resource.name} is not in docs/reference/files.md, or twice"
        if isinstance(resource, File | Directory):
            owner = f"{resource.owner}:{resource.group}"
            assert modes == [(f"{resource.mode:04o}", owner)], resource.name


def test_the_index_of_decisions_has_each_number_with_its_title():
    index = (DOCS / "decisions/index.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (?:\[(.+)\]\((.+)\)|\(not used\)) \|", index, re.M)
    assert [int(number) for number, _, _ in rows] == list(range(1, len(rows) + 1))
    records = {path.name: path.read_text() for path in (DOCS / "decisions").glob("0*.md")}
    assert {name for _, _, name in rows if name} == records.keys()
    for number, title, name in rows:
        assert not name or name.startswith(f"{int(number):04d}-")
        assert not name or records[name].startswith(f"# {number}. {title}")


CHANGES = (
    "limits.swap",
    "tljh user rename",
    "why a reload was rolled back",
    "tljh doctor",
    "access log",
    "a login is throttled",
    "a full disk does to `set`",
    "who decides a restart of the hub",
)


def rows_about_changes() -> list[list[str]]:
    """Return the cells of each row of "To change X, open Y"."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("## To change X, open Y")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \|$", section, re.M)
    return [row.split(" | ") for row in rows if not row.startswith(("---", "to change"))]


@pytest.mark.parametrize("change", CHANGES)
def test_contributing_has_a_row_for_the_change(change):
    assert sum(change in row[0] for row in rows_about_changes()) == 1


def test_each_row_of_contributing_names_files_to_open_and_a_test():
    for change, files, tests in rows_about_changes():
        opened = re.findall(r"`((?:tljh|installer|integration-tests|docs)/[^`]*)`", files)
        tested = re.findall(r"`((?:tests|integration-tests)/[^`]*)`", tests)
        assert opened and tested, change
        for path in (*opened, *tested):
            assert (ROOT / path).exists(), f"{change}: {path}"


def test_the_modules_that_contributing_says_decide_do_decide():
    decides = {
        "tljh/hub/resources.py": "restart_on",
        "tljh/systemd/unit_resource.py": "restart",
        "tljh/hub/health.py": "def wait_until_healthy",
        "tljh/engine/apply.py": "def roll_back",
        "tljh/hub/process/login_guard.py": "def get_authenticated_user",
        "tljh/hub/process/login_throttle.py": "class Throttle",
        "tljh/settings/config_file.py": "make room on its disk",
        "tljh/host/real.py": "nearly full",
        "tljh/settings/sections/limits.py": "memory",
        "tljh/singleuser/limit_properties.py": "MemoryMax",
        "tljh/proxy/traefik_static.py": "accessLog",
    }
    files = " ".join(row[1] for row in rows_about_changes())
    for path, text in decides.items():
        assert f"`{path}`" in files
        assert text in (ROOT / path).read_text(), f"{path} no longer has {text!r}"


def test_each_picture_is_made_by_the_script_and_shown():
    script = (ROOT / "integration-tests/pictures.py").read_text()
    images = {path.name for path in (DOCS / "images").iterdir()}
    pictures = {Path(link).name for page in PAGES for link in LINK.findall(page.read_text())}
    pages = re.search(r"^PAGES = \((.*)\)", script, re.M)[1]
    commands = re.search(r"^COMMANDS = \{(.*?)^\}", script, re.M | re.S)[1]
    drawn = {f"{name}.png" for name in re.findall(r'"(\w+)"', pages)}
    drawn |= {f"{name}.svg" for name in re.findall(r'^ +"(\w+)":', commands, re.M)}
    assert drawn == images and images <= pictures


# Words that the glossary replaces by one word each, or that name no actor.
REFUSED_WORDS = re.compile(
    r"\b(shall|whoever|somebody|anybody|nobody|everybody|told|tells?|stands?|standing|at hand|anew"
    r"|mend(s|ed)?|lies|beside|of (its|the|their|your|his|her) own|of (ours|yours)|ma[dk]es? up"
    r"|brings? about|comes? about|what is there|in its place|takes? up|taken up|let in|people"
    r"|persons?|undo|undone|undoes|taken back|puts? back|brought back|administrators?)\b",
    re.I,
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_prose_has_one_word_for_one_thing(page):
    text = re.sub(r"^(?:    |\t)[^\n]*$|^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    assert [match[0] for match in REFUSED_WORDS.finditer(text)] == []


# Parts of messages that pages quote; a page has to follow when a message is reworded.
QUOTED = {
    "guides/install.md": ("Your hub: ", ". Set the password here, once, until "),
    "guides/class.md": (
        "Your hub: ",
        ". Set the password here, once, until ",
        " may log in",
        "; first password: ",
        "status: ",
    ),
    "guides/configure.md": ("must be an amount of ", " like 512M or 4G, not "),
    "guides/lets-encrypt.md": (
        " gave no certificate for ",
        "every change was rolled back; the previous state runs",
        "have the DNS of ",
        "yes, seen at the port",
    ),
    "guides/limits.md": (
        "The kernel was ended because ",
        "there is no disk space left",
        "the command that starts it is not there",
        "its home directory cannot be entered",
        "ended while it was starting, with exit status ",
        "did not answer within ",
    ),
}


@pytest.mark.parametrize("page", QUOTED)
def test_messages_that_are_quoted_are_those_of_the_code(page):
    text = (DOCS / page).read_text()
    sources = "\n".join(path.read_text() for path in (ROOT / "tljh").rglob("*.py"))
    for message in QUOTED[page]:
        assert message in text, f"{page} no longer quotes {message!r}"
        assert message in sources, f"{page} quotes {message!r}, which no command prints"


def test_the_layers_in_contributing_are_those_of_the_contract():
    declared = (ROOT / "pyproject.toml").read_text()
    layers = re.findall(r'^    "([a-z |]+)",$', declared.partition("\nlayers = [")[2], re.M)
    drawn = re.findall(
        r"^    ([a-z]+(?: \| [a-z]+)*)  +\S", (ROOT / "CONTRIBUTING.md").read_text(), re.M
    )
    start = drawn.index("cli")
    inside = [layer for layer in layers if layer != "config"]
    assert drawn[start : start + len(inside)] == inside
