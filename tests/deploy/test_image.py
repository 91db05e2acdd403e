"""The building of the image where no registry of images is reached, as far as neither root nor buildah is needed."""

import os
from pathlib import Path

import pytest

from gateway.app.settings import examine
from scripts import image
from tests.endtoend.gateway_process import development_certificates


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tools that build nothing and note in a file how they were called. debootstrap has no package of forky's."""
    calls = tmp_path / "calls"
    programs = {
        "buildah": 'test "$7 $8" != "from scratch" || echo a-container',
        "debootstrap": 'test "$3" != forky || { echo "E: no such package"; exit 1; }',
    }
    for name, text in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{text}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(image, "PLACE", tmp_path)
    monkeypatch.setattr(image, "mirror", lambda: "http://mirror.example.com/debian")
    return calls


def test_a_release_that_can_not_be_installed_is_passed_over_and_said(
    tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next one stands in for it; its packages come from where this machine has its own."""
    assert image.make_base(["forky", "trixie"]) == "localhost/gateway-base-trixie"
    assert "Debian's forky was left out: debootstrap" in capsys.readouterr().out
    calls = [line.split() for line in tools.read_text().splitlines()]
    assert [each[3] for each in calls if each[0] == "debootstrap"] == ["forky", "trixie"]
    assert {each[5] for each in calls if each[0] == "debootstrap"} == {"http://mirror.example.com/debian"}
    assert calls[-1][-2:] == ["a-container", "localhost/gateway-base-trixie"]


def test_without_a_release_that_can_be_installed_there_is_no_base(tools: Path) -> None:
    """An error, and not an image of something else."""
    with pytest.raises(image.Failed, match="no base"):
        image.make_base(["forky"])
    assert "commit" not in tools.read_text()


def test_a_release_that_is_newer_than_debootstrap_is_made_by_the_newest_rules(
    tools: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """debootstrap refuses a name that it has no rules for."""
    monkeypatch.setattr(image, "SCRIPTS", tmp_path)
    (tmp_path / "trixie").touch()
    image.base_of("trixie")
    image.base_of("after-next")
    rules = [line.split()[6] for line in tools.read_text().splitlines() if line.startswith("debootstrap")]
    assert rules == ["trixie", "sid"]


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


def test_a_machine_that_allows_no_chroot_builds_none_and_says_so(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither for want of a tool nor of root: there is nothing to install for it."""
    program = tools.parent / "bin" / "mknod"
    program.write_text("#!/bin/sh\necho 'mknod: Operation not permitted' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("CI", "true")
    assert image.main() == 0
    said = "(mknod: Operation not permitted): the image was not built"
    assert said in capsys.readouterr().out
    assert not tools.exists(), "nothing was begun"
