"""mypy checks everything in strict mode, but for a list of folders that only shrinks."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

FOLDERS_LEFT = 9
"""Test folders that are not typed yet. Lower it with each one that is; it never grows."""

GENERATED = "gateway.api.*"


def configuration() -> dict[str, Any]:
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    mypy: dict[str, Any] = tool["mypy"]
    return mypy


def unchecked() -> list[str]:
    """Patterns of modules whose errors mypy is to ignore."""
    return [
        pattern
        for override in configuration()["overrides"]
        if override.get("ignore_errors")
        for pattern in override["module"]
        if pattern != GENERATED
    ]


def test_the_list_of_untyped_folders_only_shrinks() -> None:
    """Each pattern is one folder of tests that is there, and there are as many as recorded: no more, and no fewer, so
    that the record is lowered with the list."""
    folders = [pattern.removeprefix("tests.").removesuffix(".*") for pattern in unchecked()]
    assert [f"tests.{folder}.*" for folder in folders] == unchecked()
    assert [folder for folder in folders if not (ROOT / "tests" / folder).is_dir()] == []
    assert len(set(folders)) == FOLDERS_LEFT


@pytest.mark.parametrize(
    "module", ["gateway.app.serve", "bench.fleet", "scripts.pythons", "tests.support.harness", "tests.endtoend.wire"]
)
def test_what_is_typed_stays_typed(module: str) -> None:
    """mypy is strict, looks at it, and ignores none of its errors."""
    settings = configuration()
    assert settings["strict"] is True
    assert module.split(".")[0] in settings["files"]
    assert [pattern for pattern in unchecked() if fnmatch(module, pattern)] == []
