"""`make release`: what it refuses to release, and the base that it pins for the image."""

import os
from pathlib import Path

import pytest

from scripts.release import base_of, pin_base, problems

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-12-01\n\n### Added\n"


def test_a_version_that_is_committed_tagged_and_in_the_changelog_is_released() -> None:
    """Other tags of the commit are in nothing's way."""
    assert list(problems("1.2.0", CHANGELOG, "", "stable\nv1.2.0\n")) == []


def test_what_a_release_would_not_hold_is_named() -> None:
    """Each reason, at once."""
    found = list(problems("1.2.1", CHANGELOG, " M README.md\n?? new\n", "v1.2.0\n"))
    assert found == [
        "CHANGELOG.md has no section [1.2.1] with a date",
        "there are changes that are not committed: 2 files",
        "the commit has no tag v1.2.1",
    ]


def test_a_version_is_not_taken_for_a_longer_one() -> None:
    """Nor is a dot for any character."""
    assert next(problems("1.2", CHANGELOG, "", "v1.2")).startswith("CHANGELOG.md")
    assert list(problems("1x2.0", CHANGELOG, "", "v1x2.0")) == ["CHANGELOG.md has no section [1x2.0] with a date"]


def test_the_images_base_is_named_with_its_arguments_defaults() -> None:
    """As a build without arguments takes it."""
    assert base_of("# ARG PYTHON=2\nARG PYTHON=3.14\nARG BASE=python:${PYTHON}-slim\n") == "python:3.14-slim"


DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize("tool", ["skopeo", "docker"])
def test_the_images_base_is_pinned_where_a_registry_is_reached(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By either tool; in the form that a build takes."""
    program = tmp_path / "bin" / tool
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncase "$*" in *python:3.14-slim) echo {DIGEST};; *) exit 1;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/bin")
    found = pin_base(tmp_path, "python:3.14-slim")
    assert found is not None
    assert found.read_text() == f"--build-arg BASE=python:3.14-slim@{DIGEST}\n"


@pytest.mark.parametrize("text", ["exit 1", "echo error: no route to host", "echo sha256:12"])
def test_without_a_registry_nothing_is_pinned_and_it_is_said(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not to an earlier base either, and not to what is no digest."""
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "image-arguments").write_text("--build-arg BASE=of-before\n")
    assert pin_base(tmp_path, "python:3.14-slim") is None
    assert capsys.readouterr().out == (
        "no registry of images was reached: the image's base python:3.14-slim is not pinned\n"
    )
    assert not (tmp_path / "image-arguments").exists()
