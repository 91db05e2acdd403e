"""Whatever a TOML file holds: settings, or a SettingsError that names the file."""

import json
import math
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.app.settings import ListenerSettings, Settings, load
from gateway.errors import SettingsError

SECTIONS = {each.name: each for each in attrs.fields(Settings)}
SCALARS = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["off", "127.0.0.1:1", "0.0.0.0:99999", "[::1]:2", "info", "Invalid", "/ocpp/", "a.pem"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def keys_of(attribute: Any) -> list[str]:
    """The keys of a section, whether a table or a list of them."""
    type_ = attribute.type if attrs.has(attribute.type) else attribute.type.__args__[0]
    return [each.name for each in attrs.fields(type_)]


def tables(name: str) -> st.SearchStrategy[Any]:
    """A section with some of its keys and any values, or something else in its place."""
    keys = st.sampled_from(keys_of(SECTIONS[name])) | st.text(max_size=6)
    table = st.dictionaries(keys, VALUES, max_size=4)
    return table | st.lists(table, max_size=3) | VALUES


FILES = st.fixed_dictionaries({}, optional={name: tables(name) for name in SECTIONS} | {"zzz": VALUES})


def toml(value: Any) -> str:
    """A value as inline TOML."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return (
                "nan" if math.isnan(value) else ("-inf" if value < 0 else "inf") if math.isinf(value) else repr(value)
            )
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path to which this module's files are written, one after the other."""
    return tmp_path_factory.mktemp("settings") / "gateway.toml"


def load_or_complaint(path: Path) -> Settings | str:
    """The settings, or the text of the SettingsError; any other exception is a failed test."""
    try:
        return load(path)
    except SettingsError as error:
        return str(error)


@given(FILES)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_gives_settings_or_a_settings_error(path: Path, table: dict[str, Any]) -> None:
    """No value in any place ends in another error, and an error names the file."""
    path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in table.items()), encoding="utf-8")
    outcome = load_or_complaint(path)
    if isinstance(outcome, Settings):
        assert all(isinstance(each, ListenerSettings) for each in outcome.listeners)
    else:
        assert outcome.startswith(f"{path}: ")
        assert all(line.isprintable() for line in outcome.split("\n"))


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_settings_or_a_settings_error(path: Path, text: str) -> None:
    """Nor does any text."""
    path.write_text(text, encoding="utf-8", newline="")
    outcome = load_or_complaint(path)
    assert isinstance(outcome, str), "no text that short has a listener with a certificate"
    assert outcome.startswith(f"{path}: ")


@given(st.integers(10, 86_400), st.integers(10, 86_400), st.none() | st.floats(20, 172_800))
@settings(max_examples=100, deadline=None)
def test_a_punctual_charger_is_never_cut_off(path: Path, heartbeat: int, retry: int, silence: float | None) -> None:
    """Whatever loads, the silence limit leaves slack above the chargers' interval."""
    lines = [f"heartbeat_interval = {heartbeat}", f"retry_interval = {retry}"]
    lines += [f"silence_seconds = {silence!r}"] if silence is not None else []
    listener = "[[listeners]]\ncertificates = [{ certificate = 'a', key = 'b' }]\n[sessions]\n"
    path.write_text(listener + "\n".join(lines), encoding="utf-8")
    try:
        sessions = load(path).sessions
    except SettingsError:
        assert silence is not None
        assert silence < max(heartbeat, retry) + 30
    else:
        assert sessions.silence_seconds >= max(heartbeat, retry) + 30
