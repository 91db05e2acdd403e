"""The building of the image where no registry of images is reached, as far as neither root nor buildah is needed."""

import os
from pathlib import Path

import pytest

from gateway.app.settings import examine
from scripts import image
from tests.endtoend.gateway_process import development_certificates


@pytest.mark.parametrize(
    "text",
    [
        "Types: deb\n# a mirror\nURIs: http://mirror.example.com/debian\nSuites: bookworm\n",
        "deb http://mirror.example.com/debian bookworm main\n",
        "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example.com/debian bookworm main\n",
    ],
    ids=["deb822", "one line", "options"],
)
def test_the_base_comes_from_where_the_machine_has_its_packages(text: str) -> None:
    """In either form of apt's sources."""
    assert image.mirror_in(text) == "http://mirror.example.com/debian"


def test_without_sources_the_mirror_is_the_tools_own_choice() -> None:
    """None is made up."""
    assert image.mirror_in("# deb http://mirror.example.com/debian bookworm main\n") is None


def test_the_settings_that_the_image_is_tried_with_are_good(tmp_path: Path) -> None:
    """By the gateway's own check."""
    folder = development_certificates(tmp_path / "certs")
    file = folder / "gateway.toml"
    file.write_text(image.SETTINGS, encoding="utf-8")
    settings, problems = examine(file)
    assert problems == []
    assert settings.control.address == "127.0.0.1:50051", "where the image's health check asks"


def test_a_step_that_fails_is_named_with_what_it_said() -> None:
    """The command, its exit code, and its output."""
    with pytest.raises(image.Failed, match=r"(?s)sh -c .*exit code 3.*no room"):
        image.run(["sh", "-c", "echo no room; exit 3"], 10)


@pytest.mark.parametrize("ci", ["", "true"])
def test_where_a_tool_is_missing_it_is_said_and_fails_in_ci(
    ci: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left out in silence."""
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("CI", ci)
    assert image.main() == (1 if ci else 0)
    assert capsys.readouterr().out == "buildah, debootstrap was not found: the image was not built\n"
