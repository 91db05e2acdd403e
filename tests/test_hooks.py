"""The hooks that git runs before a commit, and the shape of a commit message."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import commit_message

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / ".pre-commit-config.yaml"
LONGEST = "x" * 72


@pytest.mark.parametrize(
    "text",
    [
        LONGEST,
        f"{LONGEST}\n\nThe why, in lines of any length: {LONGEST}{LONGEST}\n",
        f"\n\n{LONGEST}   \n\n\n",
        f"# a comment of git's, however long: {LONGEST}\n{LONGEST}\n# another\n\nwhy",
        f"fixup! {LONGEST}",
        f"squash! fixup! {LONGEST}\n\nwhy",
        f"{LONGEST}\n# ------------------------ >8 ------------------------\ndiff --git a/x b/x\n",
        "ü" * 72,
        "",
        "# nothing but comments\n",
    ],
)
def test_a_message_in_the_projects_form_has_no_fault(text: str) -> None:
    """Comments, the diff below the scissors and a fixup's prefix don't count."""
    assert commit_message.faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"{LONGEST}x", "the subject has 73 characters"),
        (f"fixup! {LONGEST}x", "the subject has 73 characters"),
        ("subject\nbody", "the second line is not empty: body"),
        ("subject\n# a comment\nbody", "the second line is not empty: body"),
    ],
)
def test_a_fault_is_named(text: str, fault: str) -> None:
    """With the length, or with the line that should be empty."""
    [found] = commit_message.faults(text)
    assert found.startswith(fault)


@given(st.text(max_size=300))
def test_any_text_is_judged(text: str) -> None:
    """No message makes the check fail, and one without a fault has a short subject and an empty second line."""
    if commit_message.faults(text) == [] and (lines := commit_message.message_lines(text)):
        assert len(re.sub("^((fixup|squash|amend)! )+", "", lines[0])) <= 72
        assert [line for line in lines[1:2] if line] == []


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "commit_message.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=60)


def test_the_script_ends_with_an_error_where_the_message_has_a_fault(tmp_path: Path) -> None:
    """And prints it; a good message passes in silence."""
    message = tmp_path / "COMMIT_EDITMSG"
    message.write_text(f"{LONGEST}x\nbody\n", encoding="utf-8")
    refused = run_script(message)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 2
    message.write_text("Say why\n\nBecause.\n", encoding="utf-8")
    accepted = run_script(message)
    assert (accepted.returncode, accepted.stdout, accepted.stderr) == (0, "", "")


def test_the_script_called_without_a_file_says_how_it_is_called() -> None:
    """With the status of wrong usage."""
    called = run_script()
    assert called.returncode == 2
    assert called.stderr.startswith("usage: ")


def test_no_hook_is_fetched_from_anywhere() -> None:
    """Each one is local and runs a tool of .venv; a hook from elsewhere would download code at the first commit."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert set(re.findall(r"repo: (.*)", text)) == {"local"}
    assert set(re.findall(r"language: (.*)", text)) == {"system"}
    assert {entry.split("/bin/")[0] for entry in re.findall(r"entry: (.*)", text)} == {".venv"}
    assert "://" not in text


def test_a_commit_with_a_long_subject_is_refused(tmp_path: Path) -> None:
    """By the hook that `make hooks` installs, in a repository with this configuration."""
    if shutil.which("git") is None or find_spec("pre_commit") is None:
        pytest.skip("git or pre-commit is not installed")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "commit_message.py", tmp_path / "scripts")
    shutil.copy(CONFIGURATION, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
    } | {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert run("git", "init", "--quiet").returncode == 0
    installed = run(sys.executable, "-m", "pre_commit", "install", "--hook-type", "commit-msg")
    assert installed.returncode == 0, installed.stderr
    refused = run("git", "commit", "--quiet", "--allow-empty", "--message", f"{LONGEST}x")
    assert refused.returncode != 0
    assert "the subject has 73 characters" in refused.stdout + refused.stderr
    accepted = run("git", "commit", "--quiet", "--allow-empty", "--message", LONGEST, "--message", "Why.")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
