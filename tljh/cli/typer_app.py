"""From the words of a command line to a call of a verb, by Typer."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

import typer
from typer.core import TyperGroup

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import paths_from_environment
from tljh.cli.verbs import Group, Invocation, Verbs, function_of
from tljh.commands.parameters import Argument, Option

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")]


PathOption = Annotated[
    Path | None,
    typer.Option(
        "--config-path",
        help="Another file than this installation's config.yaml.",
        # Who may not read it is told so by whoever reads it, with the sudo line.
        readable=False,
    ),
]


# TLJH takes it after every verb, also where only the installation's own file can be meant.
_HiddenPathOption = Annotated[
    Path | None, typer.Option("--config-path", hidden=True, readable=False)
]


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
    app = typer.Typer(add_completion=False)
    # `set KEY -5`: there, what looks like an option and is none is a value.
    takes_values = name in ("set", "add-item", "remove-item")
    app.command(name, context_settings={"ignore_unknown_options": takes_values})(
        _as_callback(function_of(reference))
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
            _refuse_another(ctx.obj.config_path, ctx.info_name)
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


def _refuse_another(config_path: Path | None, verb: str | None) -> None:
    """Raise where somebody names a file for a verb that is about this installation."""
    own = paths_from_environment().config_file
    if config_path is None or config_path.absolute() == own or config_path.resolve() == own:
        return
    raise TljhError(
        f"{verb} takes no other file than {own}",
        why=f"it is about what is installed there; {config_path} would be ignored",
        fix=f"check that file: tljh-config --config-path {config_path} check",
        exit_code=Exit.USAGE,
    )


def _shown(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    """A parameter as an argument, or as an option when it is keyword-only."""
    if hasattr(hint, "__metadata__"):
        hint = Annotated[hint.__origin__, _for_typer(hint.__metadata__[0])]
    elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        flag = "--" + parameter.name.removesuffix("_s").replace("_", "-")
        hint = Annotated[hint, typer.Option(flag)]
    else:
        hint = Annotated[hint, typer.Argument()]
    return parameter.replace(annotation=hint)


def _for_typer(marker: Argument | Option) -> Any:
    if isinstance(marker, Option):
        return typer.Option(marker.flag, help=marker.help, metavar=marker.metavar)
    complete = marker.complete
    if complete is None:
        return typer.Argument(metavar=marker.metavar, help=marker.help)

    def autocompletion(ctx: typer.Context, incomplete: str) -> list[str]:
        return complete(ctx, incomplete)

    return typer.Argument(metavar=marker.metavar, help=marker.help, autocompletion=autocompletion)


def call(name: str, group: Group, words: list[str] | None, invocation: Invocation) -> Any:
    """Call the verb that the words ask for and return its result; may raise usage errors."""
    if f"_{name.upper().replace('-', '_')}_COMPLETE" in os.environ:
        # Typer knows bash only after this, which its own `Typer.__call__` does otherwise.
        import_module("typer.completion").completion_init()
    return _group(name, group).main(
        args=words, prog_name=name, standalone_mode=False, obj=invocation
    )
