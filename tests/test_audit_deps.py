"""`make audit-deps`: a finding fails it, and being offline does not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.audit_deps import LOCKS, ROOT, SERVICES, Ran, main

FLAW = {"id": "CVE-2026-1", "fix_versions": ["2.1"]}
SOUND = {"name": "attrs", "version": "25.3", "vulns": []}
VULNERABLE = {"name": "jinja", "version": "2.0", "vulns": [FLAW]}
UNKNOWN = {"name": "internal", "skip_reason": "not found"}


def answering(**answers: Any) -> Callable[[Path, str], Ran]:
    """A run of the tool, by database: what it found; a text is a complaint without an answer."""

    def ask(lock: Path, service: str) -> Ran:
        given = answers.get(service, "connection refused")
        if isinstance(given, str):
            return Ran("", given)
        return Ran(json.dumps({"dependencies": given, "fixes": []}), "")

    return ask


def test_a_known_vulnerability_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Named with its package and the version that mends it; the other locks are looked at all the same."""
    assert main(("requirements.lock", "requirements-dev.lock"), answering(pypi=[SOUND, VULNERABLE])) == 1
    said = capsys.readouterr().out
    assert "requirements.lock: jinja 2.0: CVE-2026-1, mended in 2.1" in said
    assert "requirements-dev.lock: 2 packages looked up, 1 known vulnerabilities" in said


def test_nothing_found_passes_and_names_what_was_not_looked_up(capsys: pytest.CaptureFixture[str]) -> None:
    """A package that the database does not know is not taken for sound in silence."""
    assert main(("requirements.lock",), answering(pypi=[SOUND, UNKNOWN])) == 0
    assert "SKIPPED, not in the database: internal" in capsys.readouterr().out


@pytest.mark.parametrize("answers", [{}, {"pypi": [UNKNOWN]}, {"pypi": [UNKNOWN], "osv": [UNKNOWN]}])
def test_without_a_database_it_says_what_was_skipped(
    capsys: pytest.CaptureFixture[str], answers: dict[str, Any]
) -> None:
    """And does not fail: a build without a network is no broken one."""
    assert main(("requirements.lock",), answering(**answers)) == 0
    said = capsys.readouterr().out
    assert "requirements.lock: SKIPPED, no database of vulnerabilities was reachable" in said
    assert ("internal" in said) is ("pypi" in answers)


def test_the_next_database_is_asked_where_one_has_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """One that is down hides nothing."""
    assert main(("requirements.lock",), answering(pypi="down", osv=[VULNERABLE])) == 1
    assert SERVICES == ("pypi", "osv")


@pytest.mark.parametrize("output", ["", "{}", "[]", '{"dependencies": 7}', "no JSON"])
def test_an_answer_that_can_not_be_read_is_none(output: str) -> None:
    """As from a tool that fell over; a lock is never taken for looked up by it."""
    assert main(("requirements.lock",), lambda lock, service: Ran(output, "fell over")) == 0


def test_every_lock_is_looked_at() -> None:
    """But for the one that builds, which is within the one for development, and those in which the client is tried with
    old releases, which are given to no user."""
    there = {path.name for path in ROOT.glob("requirements*.lock")}
    tried = {f"requirements-client-{each}.lock" for each in ("5", "6", "7", "compiler")}
    assert there - set(LOCKS) == {"requirements-build.lock", "requirements-audit.lock"} | tried
