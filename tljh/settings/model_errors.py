"""What pydantic refuses in the values of a file, as problems with their fixes."""

from __future__ import annotations

import copy
import json
import re
from shlex import quote
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import find_nearest, format_key, get_default
from tljh.settings.shape import ANYTHING, Shape, derive_shape, find_shape
from tljh.settings.tree_values import parse_plain

M = TypeVar("M", bound=BaseModel)


def build_model(
    model: type[M], values: dict[str, Any], problems: list[Problem], model_path: KeyPath = ()
) -> M:
    """Validate `values`; return a model with defaults in place of what it refuses.

    Adds a problem for each refused value; `model_path` is the path of the model in the file.
    """
    accepted = copy.deepcopy(values)
    # Each round leaves out at least one value.
    for _ in range(1000):
        try:
            return model.model_validate(accepted)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                path = tuple(step for step in details["loc"] if step != "[key]")
                problems.append(_describe_error(model, path, details, model_path))
                _leave_out(accepted, path)
    return model()


def _leave_out(values: dict[str, Any], path: KeyPath) -> None:
    """Remove the value at `path`; of a list the whole list, so that positions stay true."""
    if not path:
        values.clear()
        return
    holder: Any = values
    for step in path[:-1]:
        below = holder.get(step)
        if not isinstance(below, dict):
            holder.pop(step, None)
            return
        holder = below
    holder.pop(path[-1], None)


def _describe_error(
    model: type[BaseModel], path: KeyPath, error: Any, model_path: KeyPath
) -> Problem:
    whole = (*model_path, *path)
    key = format_key(whole)
    if error["loc"] and error["loc"][-1] == "[key]":
        what = f"{key} {error['ctx']['error']}" if "ctx" in error else f"{key} is not a name"
        return Problem(whole, what, fix="use another name", at_key=True)
    if error["type"] == "missing":
        return Problem(whole, f"{key} is missing", at_key=True)
    if error["type"] == "extra_forbidden":
        return Problem(whole, f"there is no setting {key}", at_key=True)
    shape = find_shape(derive_shape(model), path) or ANYTHING
    value = error.get("input")
    what = f"{key} {_describe_refusal(shape, value, error)}"
    if shape.kind == "section" and path and value == path[-1]:
        # The name of a section of the admin's, such as a service.
        return Problem(whole, what, fix="use another name", at_key=True)
    fix = _suggest_value(shape, path, value)
    if fix is not None:
        return Problem(whole, what, fix=fix)
    return Problem(whole, what, fix=_suggest_unset(model, path, shape, value), fix_resets=True)


def _describe_refusal(shape: Shape, value: Any, error: Any) -> str:
    """Return why a value is refused, as in `must be a number, not a list`.

    The message has the key before it. `error` is an entry of pydantic's `errors()`.
    """
    is_hidden = shape.secret and isinstance(value, (str, int))
    text = "the current value" if is_hidden else show_value(value)
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "string_pattern_mismatch":
        return f"has a form that is not allowed: {text}"
    if error["type"] == "too_short":
        return "must not be empty"
    expected = shape.describe()
    if error["type"].startswith(("greater_than", "less_than")):
        # The value is a number, so the message names only the bounds.
        for words in ("a whole number ", "a number ", "of "):
            expected = expected.removeprefix(words)
    return f"must be {expected}, not {text}"


def _suggest_value(shape: Shape, path: KeyPath, value: Any) -> str | None:
    """Return as a fix how to write the value that was probably meant; None without a guess."""
    if value == "*" and path[:2] == ("users", "allowed"):
        return "everybody with an account: sudo tljh-config set auth.allow_all true"
    if shape.kind == "list" and isinstance(value, (str, int)):
        return suggest_list(value)
    if path and isinstance(path[-1], int):
        if isinstance(value, (int, float)):
            return "put quotes around it"
        if isinstance(value, str) and value.isprintable() and value != value.strip() != "":
            return f"write {value.strip()!r}"
        return None
    if shape.choices and isinstance(value, str):
        near = find_nearest(value, shape.choices, 0.5)
        return (
            f"sudo tljh-config set {quote(format_key(path))} {quote(str(near))}" if near else None
        )
    if isinstance(value, str) and shape.kind in ("int", "number", "bool"):
        unquoted = parse_plain(value, shape)
        is_bool = isinstance(unquoted, bool)
        is_number = isinstance(unquoted, (int, float)) and not is_bool
        if is_bool if shape.kind == "bool" else is_number:
            return f"write it without quotes: {value}"
        # As in 1,5 or in "2 cores".
        number = re.match(r"\d+(?:[.,]\d+)?(?=$|\s)", value.strip())
        if shape.kind != "bool" and number:
            return f"write the number alone, with a point: {number[0].replace(',', '.')}"
    return None


def suggest_list(value: str | int) -> str:
    """Return as a fix the list with this value alone."""
    text = str(value)
    is_plain = re.fullmatch(r"[\w./:@+-]+", text)
    return f"write it as a list: [{text if is_plain else json.dumps(text, ensure_ascii=False)}]"


def _suggest_unset(model: type[BaseModel], path: KeyPath, shape: Shape, value: Any) -> str | None:
    """Return as a fix the command that removes the refused value."""
    if path and isinstance(path[-1], int):
        if not isinstance(value, str) or not value.isprintable():
            return "remove it"
        return f"sudo tljh-config remove-item {quote(format_key(path[:-1]))} {quote(value)}"
    if shape.choices and isinstance(value, str):
        return f"sudo tljh-config set {quote(format_key(path))} {quote(shape.choices[0])}"
    default = get_default(model, path)
    if isinstance(default, (int, float, str, bool)) and default != "":
        return f"sudo tljh-config set {quote(format_key(path))} {quote(_format_scalar(default))}"
    return f"sudo tljh-config unset {quote(format_key(path))}" if path else None


def show_value(value: Any) -> str:
    """Return a value as a message names it: text in quotes and shortened, others as `a list`."""
    if isinstance(value, str):
        text = f"the text {value!r}"
    elif isinstance(value, dict):
        text = "a map"
    elif isinstance(value, list):
        text = "a list"
    else:
        text = _format_scalar(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _format_scalar(value: Any) -> str:
    """Return a simple value as an admin types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)
