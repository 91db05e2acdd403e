"""Known vulnerabilities of the locked packages: ``make audit-deps``.

pip-audit asks a database of vulnerabilities about each package of a lock. A finding fails. Where no database is
reachable nothing is known, and that is said, with the names of what was not looked up; it is no failure, for a build
without a network is none.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-fuzz.lock",
    "requirements-bench.lock",
    "requirements-release.lock",
    "requirements-examples.lock",
    "requirements-docs.lock",
)
SERVICES = ("pypi", "osv")
"""Databases that pip-audit knows, the next one asked where the one before has no answer."""

SECONDS = 180.0
"""For one lock and one database: a hundred packages, each a request."""

REQUEST_SECONDS = 10
"""For one request."""


MAX_COMPLAINT = 200
"""Characters of a complaint that are shown: enough to see that it is the network."""


class Ran(NamedTuple):
    """A run of pip-audit: its JSON, empty where it gave none, and the last line of its complaints."""

    output: str
    complaint: str


class Found(NamedTuple):
    """The outcome for a lock. ``skipped``: packages that nothing is known of."""

    vulnerable: tuple[str, ...]
    skipped: tuple[str, ...]
    audited: int
    complaint: str = ""


def run(lock: Path, service: str) -> Ran:
    """Ask one database about a lock. It installs nothing, and asks about what is written there alone."""
    command = (sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip", "--require-hashes")
    options = ("--format", "json", "--progress-spinner", "off", "--timeout", str(REQUEST_SECONDS))
    try:
        done = subprocess.run(
            (*command, *options, "--vulnerability-service", service),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ran("", f"no answer in {SECONDS:.0f} s")
    return Ran(done.stdout, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])


def read(ran: Ran) -> Found:
    """The outcome of a run; nothing is audited where it gave no answer."""
    try:
        return _found(json.loads(ran.output)["dependencies"], ran.complaint)
    except (ValueError, LookupError, TypeError):
        return Found((), (), 0, ran.complaint)


def _found(listed: list[dict[str, Any]], complaint: str) -> Found:
    vulnerable, skipped, audited = [], [], 0
    for each in listed:
        name = f"{each['name']} {each.get('version', '')}".strip()
        if "vulns" not in each:
            skipped.append(each["name"])
            continue
        audited += 1
        for flaw in each["vulns"]:
            fixed = ", ".join(flaw.get("fix_versions", ())) or "no version yet"
            vulnerable.append(f"{name}: {flaw['id']}, mended in {fixed}")
    return Found(tuple(vulnerable), tuple(skipped), audited, complaint)


def audit(lock: Path, ask: Callable[[Path, str], Ran] = run) -> Found:
    """The outcome for a lock, by the first database that knows one of its packages."""
    found = Found((), (), 0)
    for service in SERVICES:
        now = read(ask(lock, service))
        found = now if now.audited or not found.skipped else found._replace(complaint=now.complaint)
        if found.audited:
            break
    return found


def report(name: str, found: Found) -> list[str]:
    """Lines about a lock."""
    lines = [f"{name}: {each}" for each in found.vulnerable]
    if not found.audited:
        why = f" ({found.complaint[:MAX_COMPLAINT]})" if found.complaint else ""
        what = f": {', '.join(found.skipped)}" if found.skipped else ""
        return [f"{name}: SKIPPED, no database of vulnerabilities was reachable{why}{what}"]
    if found.skipped:
        lines.append(f"{name}: SKIPPED, not in the database: {', '.join(found.skipped)}")
    lines.append(f"{name}: {found.audited} packages looked up, {len(found.vulnerable)} known vulnerabilities")
    return lines


def main(names: Sequence[str] = LOCKS, ask: Callable[[Path, str], Ran] = run) -> int:
    """Audit the locks; 1 if something was found."""
    failed = False
    for name in names:
        found = audit(ROOT / name, ask)
        failed = failed or bool(found.vulnerable)
        print("\n".join(report(name, found)))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
