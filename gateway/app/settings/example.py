"""The example file: every setting with its default and its reason, rendered from the settings themselves.

``docs/gateway.example.toml`` is this text; a test keeps the two equal.
"""

import json
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

import attrs

from gateway.app.settings.expectations import KEY, About
from gateway.app.settings.sections import Settings

WIDTH = 110

_HEAD = """\
# Settings of the gateway, in TOML. Values shown are the defaults; what is commented out is off unless set, or
# follows from others. Relative paths are relative to this file, and unknown keys are refused. Check a file with
#     gateway check-config --config gateway.toml
# (J ...), (S ...) and (WP ...) cite OCPP: OCPP-J 1.6, the specification of 1.6 edition 2, and the white paper
# "Improved security for OCPP 1.6-J", edition 2."""


def render_example() -> str:
    """The example file's text: it can be loaded as it is, and gives the defaults."""
    blocks = [_HEAD]
    for attribute in attrs.fields(Settings):
        blocks += _blocks(attribute)
    return "\n\n".join(blocks) + "\n"


def _blocks(attribute: "attrs.Attribute[Any]") -> Iterator[str]:
    """The tables of one section: one, or one per element of a list of tables."""
    type_: Any = attribute.type
    if attrs.has(type_):
        yield from _section(type_, attribute.name)
        return
    element = get_args(type_)[0]
    title = f"[[{attribute.name}]]"
    if attribute.default is attrs.NOTHING:
        yield _table(element, title)
        return
    defaults: Any = attribute.default
    if not defaults:
        yield _off(_table(element, title))
    for number, each in enumerate(defaults):
        yield _table(element, title, each, explained=number == 0)


def _off(table: str) -> str:
    """A table that is commented out: there is none unless set."""
    return "\n".join(line if line.startswith("#") else f"# {line}" for line in table.splitlines())


def _section(cls: Any, name: str) -> Iterator[str]:
    yield _table(cls, f"[{name}]")
    for attribute in attrs.fields(cls):
        if attrs.has(attribute.type):
            yield from _section(attribute.type, f"{name}.{attribute.name}")


def _table(cls: Any, title: str, values: Any = None, *, explained: bool = True) -> str:
    """A table with all of its keys, from ``values`` or else the defaults."""
    lines = [*(_comment(cls.__doc__) if explained else ()), title]
    for attribute in attrs.fields(cls):
        if attrs.has(attribute.type):
            continue
        about: About = attribute.metadata[KEY]
        if explained:
            lines += _comment(about.text)
        lines.append(_line(attribute, about, values))
    return "\n".join(lines)


def _line(attribute: "attrs.Attribute[Any]", about: About, values: Any) -> str:
    if values is not None:
        return f"{attribute.name} = {_value(getattr(values, attribute.name))}"
    if attribute.default is attrs.NOTHING:
        return f"{attribute.name} = {_value(about.example)}"
    if attribute.default is None or about.example is not None:
        return "\n".join(f"# {line}" for line in f"{attribute.name} = {_value(about.example)}".splitlines())
    return f"{attribute.name} = {_value(attribute.default)}"


def _value(value: Any) -> str:
    """A value in TOML. Lists of tables are spread over lines."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return f"{value:_}" if value > 9_999 else str(value)
        case float():
            return f"{value:.0f}" if value.is_integer() else str(value)
        case dict():
            return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
        case list() | tuple() if value and isinstance(value[0], dict | str):
            return (
                "[\n" + "".join(f"  {_value(each)},\n" for each in value) + "]"
                if len(value) > 1
                else (f"[{_value(value[0])}]")
            )
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH, break_on_hyphens=False)]
