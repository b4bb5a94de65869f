"""Both commands: `tljh`, and `tljh-config` which is `tljh config`.

A verb is a function in `tljh.commands` and is imported when it is used. Its parameters before
the `*` are arguments, those after it are options; `timeout_s` is spelled `--timeout`, and every
verb has `--json` and `--debug`. It returns a result with `as_text` and `as_json` (and an
`exit_code`, where that is not 0), or raises `TljhError`; this module alone prints either.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

import typer
from typer.core import TyperGroup

from tljh.errors import Exit, Finding, TljhError

Verbs = Mapping[str, "str | Group"]


@dataclass(frozen=True)
class Group:
    """Verbs below a word: `tljh user …`."""

    help: str
    verbs: Verbs


CONFIG = Group(
    "Read, change and apply the configuration.",
    {
        "show": "tljh.commands.config_show:show",
        "get": "tljh.commands.config_show:get",
        "set": "tljh.commands.config_set:set_value",
        "unset": "tljh.commands.config_set:unset",
        "add-item": "tljh.commands.config_set:add_item",
        "remove-item": "tljh.commands.config_set:remove_item",
        "edit": "tljh.commands.config_edit:edit",
        "check": "tljh.commands.config_check:check",
        "describe": "tljh.commands.config_describe:describe",
        "schema": "tljh.commands.config_describe:schema",
        "plan": "tljh.commands.reload:plan_reload",
        "reload": "tljh.commands.reload:reload",
        "history": "tljh.commands.reload:history",
        "rollback": "tljh.commands.reload:rollback",
    },
)
TLJH = Group(
    "Look after the JupyterHub on this machine.",
    {
        "install": "tljh.commands.install:install_from",
        "status": "tljh.commands.status:status",
        "doctor": "tljh.commands.status:doctor",
        "logs": "tljh.commands.logs:logs",
        "auth": Group(
            "Ways to log in.",
            {
                "list": "tljh.commands.auth:ways",
                "describe": "tljh.commands.auth:describe",
                "check": "tljh.commands.auth:check",
            },
        ),
        "user": Group(
            "People of the hub.",
            {
                "list": "tljh.commands.user_list:list_people",
                "show": "tljh.commands.user_list:show",
                "add": "tljh.commands.user_change:add",
                "remove": "tljh.commands.user_change:remove",
                "disable": "tljh.commands.user_change:disable",
                "enable": "tljh.commands.user_change:enable",
                "reset-password": "tljh.commands.user_change:reset_password",
                "import": "tljh.commands.user_import:import_people",
                "export": "tljh.commands.user_list:export",
                "claim": "tljh.commands.user:claim",
            },
        ),
        "share": Group(
            "Folders that a group edits together.",
            {
                "list": "tljh.commands.share:list_shares",
                "add": "tljh.commands.share:add",
                "remove": "tljh.commands.share:remove",
            },
        ),
        "config": CONFIG,
        "completion": "tljh.commands.completion:completion",
    },
)


@dataclass
class Invocation:
    """What holds for one run of a command, whichever verb it is."""

    json: bool = False
    debug: bool = False
    config_path: Path | None = None


JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")]
PathOption = Annotated[
    Path | None,
    typer.Option("--config-path", help="Another file than this installation's config.yaml."),
]
# TLJH takes it after every verb, also where nothing reads it.
_HiddenPathOption = Annotated[Path | None, typer.Option("--config-path", hidden=True)]


class _LazyGroup(TyperGroup):
    """Imports a verb's module when the verb is used, and all of them for the list of them."""

    verbs: ClassVar[Verbs]

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(self.verbs)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        return _group(cmd_name, verb) if isinstance(verb, Group) else _command(cmd_name, verb)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # The parent class imports every verb to suggest one; this list of names is enough.
        name = args[0] if args else ""
        if not name.startswith("-") and name not in self.verbs:
            from difflib import get_close_matches

            near = get_close_matches(name, self.verbs, 1)
            raise TljhError(
                f"there is no command {ctx.command_path} {name}",
                fix=f"did you mean {near[0]}?" if near else f"see: {ctx.command_path} --help",
                exit_code=Exit.USAGE,
            )
        return super().resolve_command(ctx, args)


def _note(ctx: typer.Context, **given: Any) -> None:
    for name, value in given.items():
        if value:
            setattr(ctx.obj, name, value)


def _group(name: str, group: Group) -> Any:
    def callback(
        ctx: typer.Context,
        config_path: PathOption = None,
        json: JsonOption = False,
        debug: DebugOption = False,
    ) -> None:
        _note(ctx, config_path=config_path, json=json, debug=debug)

    kind = type("LazyGroup", (_LazyGroup,), {"verbs": group.verbs})
    app = typer.Typer(
        name=name, cls=kind, help=group.help, no_args_is_help=True, add_completion=False
    )
    app.callback()(callback)
    return typer.main.get_group(app)


def _command(name: str, reference: str) -> Any:
    module, _, function = reference.partition(":")
    app = typer.Typer(add_completion=False)
    # `set KEY -5`: there, what looks like an option and is none is a value.
    takes_values = name in ("set", "add-item", "remove-item")
    app.command(name, context_settings={"ignore_unknown_options": takes_values})(
        _as_callback(getattr(import_module(module), function))
    )
    return typer.main.get_command(app)


def _as_callback(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a verb so that Typer sees its parameters and those that every verb has."""
    hints = get_type_hints(function, include_extras=True)
    own = inspect.signature(function).parameters
    shown = [_shown(one, hints[name]) for name, one in own.items() if name != "as_json"]
    wanted = {name: one.annotation for name, one in ((p.name, p) for p in shown)}
    extra: dict[str, Any] = {"ctx": typer.Context, "json": JsonOption, "debug": DebugOption}
    if "config_path" not in own:
        extra["config_path"] = _HiddenPathOption

    def callback(**given: Any) -> Any:
        ctx = given.pop("ctx")
        _note(ctx, json=given.pop("json"), debug=given.pop("debug"))
        _note(ctx, config_path=given.get("config_path"))
        if "config_path" in own:
            given["config_path"] = ctx.obj.config_path
        else:
            given.pop("config_path")
        if "as_json" in own:
            given["as_json"] = ctx.obj.json
        return function(**given)

    empty: dict[str, Any] = {"ctx": inspect.Parameter.empty, "config_path": None}
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, keyword, default=empty.get(name, False), annotation=annotation)
        for name, annotation in extra.items()
    ]
    callback.__doc__ = inspect.getdoc(function)
    callback.__annotations__ = {**wanted, **extra}
    callback.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [one.replace(kind=keyword) for one in (*shown, *added)]
    )
    return callback


def _shown(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    """A parameter as an argument, or as an option when it is keyword-only."""
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not hasattr(hint, "__metadata__"):
        flag = "--" + parameter.name.removesuffix("_s").replace("_", "-")
        hint = Annotated[hint, typer.Option(flag)]
    elif not hasattr(hint, "__metadata__"):
        hint = Annotated[hint, typer.Argument()]
    return parameter.replace(annotation=hint)


def _tell_error(findings: tuple[Finding, ...], code: int, invocation: Invocation) -> int:
    if invocation.json:
        answer = {"findings": [finding.as_json() for finding in findings], "exit_code": code}
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(finding.as_text() for finding in findings), file=sys.stderr)
    return code


def _tell(result: Any, invocation: Invocation) -> int:
    """Print what a verb returned; its notes go to standard error."""
    if isinstance(result, int):
        return result
    if result is None:
        return 0
    if invocation.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        for note in getattr(result, "notes", ()):
            print(note, file=sys.stderr)
        text = result.as_text()
        if text:
            print(text)
    return int(getattr(result, "exit_code", 0))


def run(name: str, group: Group, arguments: list[str] | None = None) -> int:
    """Run a command line and say how it went; never raises but for an interrupt."""
    invocation = Invocation()
    _start_fast()
    if f"_{name.upper().replace('-', '_')}_COMPLETE" in os.environ:
        # Typer knows bash only after this, which its own `Typer.__call__` does otherwise.
        import_module("typer.completion").completion_init()
    try:
        result = _group(name, group).main(
            args=arguments, prog_name=name, standalone_mode=False, obj=invocation
        )
        code = _tell(result, invocation)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if invocation.debug:
            import traceback

            traceback.print_exc()
        return _tell_exception(error, name, invocation)


def _start_fast() -> None:
    """Leave out what only long-lived programs gain from; a third of the time of a `set`."""
    import gc

    # Imports make many objects and hardly any garbage.
    gc.set_threshold(100_000, 50, 50)
    # Else pydantic looks through the metadata of every installed package for plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _tell_exception(error: Exception, name: str, invocation: Invocation) -> int:
    if isinstance(error, TljhError):
        return _tell_error(error.findings, int(error.exit_code), invocation)
    if type(error).__name__ == "Abort":
        return 130
    # Usage errors, by their shape: Typer brings its parser along under changing names.
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else name
        text = str(error.format_message()).rstrip(".")
        what = text[:1].lower() + text[1:]
        if type(error).__name__ == "NoArgsIsHelpError":
            print(what, file=sys.stderr)
            return int(Exit.USAGE)
        finding = Finding(what, fix=f"see: {path} --help")
        return _tell_error((finding,), int(Exit.USAGE), invocation)
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        from tljh.config import not_permitted

        refused = not_permitted(Path(str(error.filename or "that")))
        return _tell_error(refused.findings, int(Exit.FAILED), invocation)
    finding = Finding(
        f"an unexpected {type(error).__name__}: {error}",
        fix="run it again with --debug, and report what it prints",
    )
    return _tell_error((finding,), int(Exit.FAILED), invocation)


def tljh() -> None:
    """Entry point of `tljh`."""
    sys.exit(run("tljh", TLJH))


def tljh_config() -> None:
    """Entry point of `tljh-config`."""
    sys.exit(run("tljh-config", CONFIG))
