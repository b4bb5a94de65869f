"""Parse the words of a command line with Typer, and call the verb."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, ClassVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.cli.plugin_verbs import import_verb as import_function
from tljh.cli.verbs import Invocation, VerbGroup, Verbs
from tljh.commands.parameters import Argument, Option

# Typer shows the type of an option in its help, `<bool>` for a flag, which takes no value.
NO_VALUE = ""


JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.", metavar=NO_VALUE)]


DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show tracebacks of errors.", metavar=NO_VALUE)
]


PathOption = Annotated[
    Path | None,
    typer.Option(
        "--config-path",
        help="Use this file instead of the installation's config.yaml.",
        # The function that reads the file reports missing permission, with the sudo line.
        readable=False,
    ),
]


# Commands for the machine call it a plan, those for packages and users a dry run, as conda, pip
# and rsync do. Nobody should have to remember which is which before a change.
SYNONYMS = {"--plan": "--dry-run", "--dry-run": "--plan", "--yes": "-y"}

# TLJH accepts it after every verb, also where it can only name the installation's own file.
_HiddenPathOption = Annotated[
    Path | None, typer.Option("--config-path", hidden=True, readable=False)
]


class _HelpFlag:
    """A mixin for Click's commands: `--help` is shown as the flag that it is."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.metavar = NO_VALUE
        return option


class _Command(_HelpFlag, TyperCommand):
    """A Click command of one verb."""


class _ValueCommand(_Command):
    """A Click command whose arguments may begin with a dash: `set KEY -5`, `set KEY -1h`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # With -h among the names of help, Click finds it in `-1h`.
        ctx.help_option_names = ["--help"]
        return super().parse_args(ctx, ["--help"] if args == ["-h"] else args)


class _LazyGroup(_HelpFlag, TyperGroup):
    """A Click group that imports the module of a verb only when that verb, or help, is used."""

    verbs: ClassVar[Verbs]

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(self.verbs)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        return (
            _make_group(cmd_name, verb)
            if isinstance(verb, VerbGroup)
            else _make_command(cmd_name, verb)
        )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # The parent class imports every verb to suggest a name; the names alone are enough.
        name = args[0] if args else ""
        if not name.startswith("-") and name not in self.verbs:
            from difflib import get_close_matches

            matches = get_close_matches(name, self.verbs, 1)
            raise TljhError(
                f"there is no command {ctx.command_path} {name}",
                fix=f"did you mean {matches[0]}?" if matches else f"see: {ctx.command_path} --help",
                exit_code=Exit.USAGE,
            )
        return super().resolve_command(ctx, args)


def _store(ctx: typer.Context, **options: Any) -> None:
    for name, value in options.items():
        if value:
            setattr(ctx.obj, name, value)


def _make_group(name: str, group: VerbGroup) -> Any:
    def callback(
        ctx: typer.Context,
        config_path: PathOption = None,
        json: JsonOption = False,
        debug: DebugOption = False,
    ) -> None:
        _store(ctx, config_path=config_path, json=json, debug=debug)

    group_class = type("LazyGroup", (_LazyGroup,), {"verbs": group.verbs})
    app = typer.Typer(
        name=name,
        cls=group_class,
        help=group.help,
        no_args_is_help=True,
        add_completion=False,
        # The commands in a group take this over.
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(callback)
    return typer.main.get_group(app)


def _make_command(name: str, reference: str) -> Any:
    app = typer.Typer(add_completion=False)
    takes_values = name in ("set", "add-item", "remove-item")
    app.command(
        name,
        cls=_ValueCommand if takes_values else _Command,
        # An unknown option is a value.
        context_settings={"ignore_unknown_options": takes_values},
    )(_wrap_callback(import_function(reference)))
    return typer.main.get_command(app)


def _wrap_callback(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a verb so that Typer sees its parameters and those that every verb has.

    Typer reads the signature; `as_json` and `config_path` are passed only to verbs that take them.
    """
    hints = get_type_hints(function, include_extras=True)
    own = inspect.signature(function).parameters
    parameters = [
        _convert_parameter(parameter, hints[name])
        for name, parameter in own.items()
        if name != "as_json"
    ]
    extra: dict[str, Any] = {"ctx": typer.Context, "json": JsonOption, "debug": DebugOption}
    if "config_path" not in own:
        extra["config_path"] = _HiddenPathOption

    def callback(**values: Any) -> Any:
        ctx = values.pop("ctx")
        _store(ctx, json=values.pop("json"), debug=values.pop("debug"))
        _store(ctx, config_path=values.get("config_path"))
        if "config_path" in own:
            values["config_path"] = ctx.obj.config_path
        else:
            values.pop("config_path")
            _refuse_other_file(ctx.obj.config_path, ctx.info_name)
        if "as_json" in own:
            values["as_json"] = ctx.obj.json
        try:
            return function(**values)
        except KeyboardInterrupt as interrupt:
            # Typer would swallow it and return 130 without a word.
            raise typer.Abort from interrupt

    defaults: dict[str, Any] = {"ctx": inspect.Parameter.empty, "config_path": None}
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, keyword, default=defaults.get(name, False), annotation=annotation)
        for name, annotation in extra.items()
    ]
    callback.__doc__ = inspect.getdoc(function)
    callback.__annotations__ = {
        **{parameter.name: parameter.annotation for parameter in parameters},
        **extra,
    }
    callback.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=keyword) for parameter in (*parameters, *added)]
    )
    return callback


def _refuse_other_file(config_path: Path | None, verb: str | None) -> None:
    """Raise TljhError for --config-path with a verb that works on this installation only."""
    own = get_paths().config_file
    if config_path is None or config_path.absolute() == own or config_path.resolve() == own:
        return
    raise TljhError(
        f"{verb} takes no other file than {own}",
        why=f"it works on the installed hub; {config_path} would be ignored",
        fix=f"check that file: tljh-config --config-path {quote(str(config_path))} check",
        exit_code=Exit.USAGE,
    )


def _convert_parameter(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    """Return a verb's parameter with Typer's annotation; keyword-only ones become options."""
    if hasattr(hint, "__metadata__"):
        info = _make_typer_info(hint.__metadata__[0])
        if hint.__origin__ is bool:
            info.metavar = NO_VALUE
        hint = Annotated[hint.__origin__, info]
    elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        flag = "--" + parameter.name.removesuffix("_s").replace("_", "-")
        metavar = NO_VALUE if hint is bool else None
        hint = Annotated[hint, typer.Option(flag, metavar=metavar)]
    else:
        hint = Annotated[hint, typer.Argument()]
    return parameter.replace(annotation=hint)


def _make_typer_info(description: Argument | Option) -> Any:
    if isinstance(description, Option):
        flags = description.flag.split(",")
        flags += [SYNONYMS[flag] for flag in flags if flag in SYNONYMS]
        return typer.Option(*flags, help=description.help, metavar=description.metavar)
    complete = description.complete
    if complete is None:
        return typer.Argument(metavar=description.metavar, help=description.help)

    def autocompletion(ctx: typer.Context, incomplete: str) -> list[str]:
        return complete(ctx, incomplete)

    return typer.Argument(
        metavar=description.metavar, help=description.help, autocompletion=autocompletion
    )


def call(name: str, group: VerbGroup, words: list[str] | None, invocation: Invocation) -> Any:
    """Call the verb that `words` name and return its result. Raises Click's usage errors."""
    if f"_{name.upper().replace('-', '_')}_COMPLETE" in os.environ:
        # Typer registers bash here; otherwise only its own `Typer.__call__` does that.
        import_module("typer.completion").completion_init()
    result = _make_group(name, group).main(
        args=words, prog_name=name, standalone_mode=False, obj=invocation
    )
    if result == Exit.INTERRUPTED:  # while Typer parsed the words
        raise typer.Abort
    return result
