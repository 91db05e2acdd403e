"""Reading settings from a TOML file: strictly, and with all faults reported at once.

The converter is cattrs', with hooks that don't guess: 5 is not "5", true is not 1, and an unknown key is an error.
Problems are collected from cattrs' exception groups, each with the full path of its key.
"""

import difflib
import math
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import attrs
from attrs import frozen
from cattrs import (
    BaseValidationError,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from gateway.app.settings.expectations import KEY, About, Expectation
from gateway.app.settings.sections import Settings
from gateway.domain.secrets import shown_text
from gateway.errors import SettingsError

MAX_FILE_BYTES = 1_048_576
"""A settings file is a few kB; a larger one is some other file."""

MAX_SHOWN = 60
"""How much of a wrong value is shown: enough to recognise it, too little to fill the terminal."""

MAX_PROBLEMS_SHOWN = 50
"""Number of problems that one error lists; the others are counted."""

_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}


@frozen
class SettingProblem:
    """One thing that is wrong: the full path of the key (empty: the file as a whole), and what about it."""

    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


class _Wrong(ValueError):
    """A value that is not what its setting expects."""

    def __init__(self, expected: str, value: Any) -> None:
        super().__init__(f"expected {expected}, found {_shown(value)}")
        self.expected = expected


class _Problems(ValueError):
    """Faults that a section found between its fields, each of which is sound."""

    def __init__(self, problems: list[tuple[str, str]], section: Any) -> None:
        super().__init__(problems)
        self.problems = problems
        self.section = section


def load(path: Path) -> Settings:
    """Read the settings in a TOML file; relative paths in it are relative to the file's folder.

    Raises SettingsError that names the file and every wrong key, with what was expected. Nothing but the file itself
    is read: whether certificates and folders exist is not checked here.
    """
    settings, found = examine(path)
    if found:
        raise SettingsError(_message(path, found))
    return settings


def examine(path: Path) -> tuple[Settings, list[SettingProblem]]:
    """As ``load``, but what is wrong between sections is returned beside the settings, so that the files they name can
    be looked at as well. Raises SettingsError where there are no settings to speak of."""
    text = _read(path)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise SettingsError(f"{path}: not a settings file: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and what int() says of thousands of digits
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    try:
        return _structure(table, path.resolve().parent)
    except BaseValidationError as error:
        raise SettingsError(_message(path, list(_problems(error, "", Settings)))) from None


def _structure(table: dict[str, Any], folder: Path) -> tuple[Settings, list[SettingProblem]]:
    """A parsed TOML table to settings, and what is wrong between its sections. Raises cattrs' BaseValidationError."""
    found: list[SettingProblem] = []
    try:
        settings = _converter(folder).structure(table, Settings)
    except _Problems as error:
        settings = error.section
        found = [SettingProblem(key, what) for key, what in error.problems]
    # A default is relative to the file like anything in it.
    return attrs.evolve(settings, store=attrs.evolve(settings.store, path=folder / settings.store.path)), found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError(f"{path}: not a settings file: larger than {MAX_FILE_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: not UTF-8 at byte {error.start}") from None


# --- structuring ----------------------------------------------------------------------------------------------


def _converter(folder: Path) -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for type_ in (int, float, str, bool):
        converter.register_structure_hook(type_, _plain)
    converter.register_structure_hook(Path, lambda value, _: _path(value, folder))
    converter.register_structure_hook_factory(_is_optional, lambda type_: _optional_hook(type_, converter))
    converter.register_structure_hook_factory(_is_literal, lambda _: _literal)
    converter.register_structure_hook_factory(_is_list, lambda type_: _list_hook(type_, converter))
    converter.register_structure_hook_factory(attrs.has, lambda cls: _section_hook(cls, converter))
    return converter


def _plain(value: Any, type_: Any) -> Any:
    """A value of exactly this type; a whole number also where a number is expected."""
    if type_ is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not type_ or (type_ is float and not math.isfinite(value)):
        raise _Wrong(_TYPE_NAMES[type_], value)
    return value


def _path(value: Any, folder: Path) -> Path:
    if type(value) is not str or not value or not value.isprintable():
        raise _Wrong("a path", value)
    return folder / Path(value).expanduser() if value.startswith("~/") else folder / value


def _literal(value: Any, type_: Any) -> Any:
    if type(value) is not str or value not in get_args(type_):
        raise _Wrong("one of: " + ", ".join(get_args(type_)), value)
    return value


def _is_literal(type_: Any) -> bool:
    return bool(get_origin(type_) == Literal)


def _is_list(type_: Any) -> bool:
    origin: Any = get_origin(type_)
    return origin is tuple


def _is_optional(type_: Any) -> bool:
    return get_origin(type_) is UnionType and type(None) in get_args(type_)


def _optional_hook(type_: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """TOML has no null: what is there is the other member."""
    (inner,) = (each for each in get_args(type_) if each is not type(None))
    hook = converter.get_structure_hook(inner)
    return lambda value, _: hook(value, inner)


def _list_hook(type_: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """Structure an array as a tuple, reporting every wrong element; a text is not an array of letters."""
    inner = get_args(type_)[0]
    hook = converter.get_structure_hook(inner)

    def read(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _Wrong("a list", value)
        result, errors = [], []
        for index, each in enumerate(value):
            try:
                result.append(hook(each, inner))
            except Exception as error:
                error.add_note(IterableValidationNote("", index, inner))
                errors.append(error)
        if errors:
            raise IterableValidationError("wrong elements", errors, type_)
        return tuple(result)

    return read


def _section_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """A table to a section, each field held against its expectation, then the section's own problems."""
    overrides = {each.name: override(struct_hook=_field_hook(each, converter)) for each in attrs.fields(cls)}
    make: Any = make_dict_structure_fn  # its keyword arguments are options and fields at once: not typable
    build = make(cls, converter, **overrides)

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong("a table", value)
        section = build(value, cls)
        problems = list(section.problems()) if hasattr(section, "problems") else []
        if problems:
            raise _Problems(problems, section)
        return section

    return read


def _field_hook(attribute: "attrs.Attribute[Any]", converter: Converter) -> Callable[[Any, Any], Any]:
    expectation = _expectation(attribute)
    hook = converter.get_structure_hook(attribute.type)

    def read(value: Any, _: Any) -> Any:
        try:
            result = hook(value, attribute.type)
        except _Wrong as wrong:
            raise _Wrong(expectation.description if expectation else wrong.expected, value) from None
        if expectation is not None and not expectation.accepts(result):
            raise _Wrong(expectation.description, value)
        return result

    return read


def _expectation(attribute: "attrs.Attribute[Any]") -> Expectation | None:
    described: About | None = attribute.metadata.get(KEY)
    return described.expectation if described else None


# --- telling --------------------------------------------------------------------------------------------------


def _problems(error: BaseException, path: str, cls: Any) -> Iterator[SettingProblem]:
    """All leaves of an exception group, each with the path of its key."""
    match error:
        case IterableValidationError():
            for inner, note in error.group_exceptions()[0]:
                yield from _problems(inner, f"{path}[{note.index}]", note.type)
        case ClassValidationError():
            attributes, others = error.group_exceptions()
            for inner, attribute in attributes:
                if isinstance(inner, KeyError):
                    yield SettingProblem(_below(path, attribute.name), _missing(attribute.name, error.cl))
                else:
                    yield from _problems(inner, _below(path, attribute.name), attribute.type)
            for inner in others:
                yield from _problems(inner, path, error.cl)
        case ForbiddenExtraKeysError():
            for name in sorted(error.extra_fields):
                yield SettingProblem(_below(path, _quoted(name)), _unknown(name, error.cl))
        case _Problems():
            for key, text in error.problems:
                yield SettingProblem(_below(path, key) if key else path, text)
        case _:
            yield SettingProblem(path, str(error))


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _quoted(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else _shown(name)


def _missing(name: str, cls: Any) -> str:
    attribute = getattr(attrs.fields(cls), name)
    expectation = _expectation(attribute)
    return f"missing; expected {expectation.description if expectation else _TYPE_NAMES[attribute.type]}"


def _unknown(name: str, cls: Any) -> str:
    """Describe an unknown key: the likely one, its right place, or what there is."""
    known = [each.name for each in attrs.fields(cls)]
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f'unknown key; did you mean "{close[0]}"?'
    for section in attrs.fields(Settings):
        inner: Any = section.type
        if attrs.has(inner) and inner is not cls and name in {each.name for each in attrs.fields(inner)}:
            return f"unknown key here; it belongs to [{section.name}]"
    return "unknown key; known here: " + ", ".join(known)


def _shown(value: Any) -> str:
    """A wrong value in few words. Texts of several lines are not shown: they may be a key pasted in."""
    match value:
        case bool():
            return str(value).lower()
        case str() if not value.isprintable():
            return "a text with control characters or several lines"
        case str():
            text = shown_text(value)  # a URL may hold a password
            return f'the text "{text[:MAX_SHOWN]}{"…" if len(text) > MAX_SHOWN else ""}"'
        case int():
            return str(value) if abs(value) < 10**18 else "a number out of all bounds"
        case float():
            return str(value)
        case dict():
            return "a table"
        case list():
            return "an empty list" if not value else f"a list of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


def _message(path: Path, problems: list[SettingProblem]) -> str:
    if len(problems) == 1:
        return f"{path}: {problems[0]}"
    lines = [f"  {problem}" for problem in problems[:MAX_PROBLEMS_SHOWN]]
    if len(problems) > MAX_PROBLEMS_SHOWN:
        lines.append(f"  ... and {len(problems) - MAX_PROBLEMS_SHOWN} more")
    return "\n".join([f"{path}: {len(problems)} problems:", *lines])
