"""What import-linter does not know: who may write to the machine, and imports by string."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tljh"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The only ways to the machine: the host layer; the process of traefik.service and its trial,
# which run without the rest; the short-lived process that runs py-rattler; and what runs inside
# the hub process, whose libraries write for themselves.
TOUCHES_THE_MACHINE = (
    "host/",
    "conda/worker",
    "proxy/supervisor/",
    "systemd/notify.py",
    "hub/process/app.py",
    "hub/process/traefik_routes.py",
    "hub/process/internal_tls.py",
    "hub/process/firstuse_authenticator.py",
    "hub/process/claim_page.py",
    "hub/trait_scan.py",
    # With it plugins run commands.
    "utils.py",
    # It runs in users' servers, as the user.
    "singleuser/inside/",
)
BANNED_IMPORTS = {"subprocess", "requests", "shutil", "urllib.request", "http.client"}
# Methods of Path (not `replace`: strings have it) and functions of os and shutil that write.
WRITING_METHODS = {
    *("write_text", "write_bytes", "unlink", "rename", "symlink_to", "hardlink_to", "touch"),
    *("mkdir", "rmdir", "chmod", "lchmod"),
}
WRITING_FUNCTIONS_OF_OS = {
    *("chmod", "chown", "fchmod", "fchown", "fsync", "ftruncate", "kill", "killpg", "lchown"),
    *(
        "link",
        "makedirs",
        "mkdir",
        "mkfifo",
        "mknod",
        "pwrite",
        "remove",
        "removedirs",
        "removexattr",
    ),
    *("rename", "renames", "replace", "rmdir", "sendfile", "setxattr", "symlink", "system"),
    *("truncate", "unlink", "utime", "write"),
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports_of(tree: ast.AST) -> set[str]:
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return imports


def opens_for_writing(call: ast.Call) -> bool:
    """Return whether a call of open() or Path.open() names a mode that writes."""
    place = 1 if isinstance(call.func, ast.Name) else 0
    modes = [*call.args[place : place + 1]]
    modes += [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    texts = [node.value for node in modes if isinstance(node, ast.Constant)]
    return any(isinstance(text, str) and set(text) & set("wax+") for text in texts)


def writing_calls(tree: ast.AST) -> set[str]:
    """Return the calls that write to the file system, as they are in the source."""
    writing = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        text = ast.unparse(call.func)
        receiver, _, name = text.rpartition(".")
        # `host.rename(...)` is the layer; `path.rename(...)` is not.
        if receiver == "host" or receiver.endswith(".host"):
            continue
        is_path_replace = name == "replace" and len(call.args) == 1 and not call.keywords
        if (
            (name == "open" and opens_for_writing(call))
            or (receiver == "os" and name in WRITING_FUNCTIONS_OF_OS)
            or (receiver and receiver != "os" and name in WRITING_METHODS)
            or (receiver.endswith(("path", "Path", "file", "directory")) and is_path_replace)
            or (text == "os.open" and not re.search(r"devnull|O_PATH|O_RDONLY", ast.unparse(call)))
        ):
            writing.add(text)
    return writing


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_host_layer_touches_the_machine(path):
    if name_of(path).startswith(TOUCHES_THE_MACHINE):
        return
    tree = ast.parse(path.read_text())
    assert imports_of(tree) & BANNED_IMPORTS == set()
    assert writing_calls(tree) == set()


@pytest.mark.parametrize(
    "code",
    [
        'open("x", "w")',
        'open("x", mode="ab")',
        'Path("x").open("r+")',
        'os.open("x", flags)',
        "os.replace(a, b)",
        "os.unlink(a)",
        "path.replace(other)",
        "path.mkdir()",
        "self.path.write_text(text)",
    ],
)
def test_a_call_that_writes_is_seen(code):
    assert writing_calls(ast.parse(code))


@pytest.mark.parametrize(
    "code", ['open("x")', 'open("x", "rb")', "host.mkdir(path)", 'text.replace("a", "b")']
)
def test_a_call_that_only_reads_is_not_refused(code):
    assert writing_calls(ast.parse(code)) == set()


def layer_numbers() -> dict[str, int]:
    """Return the place of each layer in pyproject.toml, the highest first."""
    import tomllib

    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return {
        name.strip(): number for number, names in enumerate(layers) for name in names.split("|")
    }


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomllib")
@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_string_imports_upwards(path):
    """Check the names for `import_module` and `python -m`, which import-linter does not see."""
    numbers = layer_numbers()
    own = numbers[name_of(path).split("/")[0].removesuffix(".py")] if path.parent != PACKAGE else -1
    tree = ast.parse(path.read_text())
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    names = {
        match[1]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
        and (match := re.fullmatch(r"tljh\.(\w+)[\w.:]*", node.value))
        and not node.value.endswith((".yaml", ".toml"))
    }
    # `auth.type` may name our own classes; only the hub imports what it names.
    if name_of(path) == "settings/derived.py":
        names.discard("hub")
    upwards = {name for name in names if name in numbers and numbers[name] < own}
    assert upwards == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_importing_reads_no_environment(path):
    """Allow definitions at a module's top level; what depends on the machine is read later."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If)):
            continue
        text = ast.unparse(node)
        assert "os.environ" not in text, text
        assert "open(" not in text, text


def test_a_rollback_in_a_fresh_process_finds_every_kind_that_a_journal_can_name():
    declared = {
        match[1]
        for path in MODULES
        # An uninstall is not journalled.
        if path.name != "removals.py"
        for match in re.finditer(r'kind: ClassVar\[str\] = "([^"]+)"', path.read_text())
    }
    ask = (
        "import tljh.operations.converge; from tljh.engine.resource import Resource; "
        f"[Resource.of_kind(kind) for kind in {sorted(declared)}]"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_class_names_are_unique():
    """Refuse two classes of one name: imports, tracebacks and reviews confuse them."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name_of(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
