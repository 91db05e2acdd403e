"""``python -m tests.mutants``: draws faults by a seed, tries them, and says which no test noticed."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count as counting
from pathlib import Path

import pytest

from tests.mutants.known import KNOWN
from tests.mutants.operators import Mutant, find
from tests.mutants.running import ENOUGH_SECONDS, Profile, Project, Run, Tried, draw
from tests.support import postgres

ROOT = Path(__file__).parents[2]

GATEWAY = Project(
    root=ROOT,
    targets=(
        "gateway/journal",
        "gateway/session",
        "gateway/store",
        "gateway/ocpp/v16/profiles",
        "gateway/transport/authentication.py",
        "gateway/transport/client_authority.py",
        "gateway/chargers/admission.py",
        "gateway/chargers/certificate_identity.py",
        "gateway/chargers/certificate_status.py",
        "gateway/chargers/slow_checks.py",
        "gateway/domain/credentials.py",
    ),
    tests=("tests",),
    left_out=(
        "tests/bench",
        "tests/cluster",
        "tests/endtoend",
        "tests/examples",
        "tests/mutants",
        "tests/peers",
        "tests/performance",
        "tests/soak",
        "tests/traces/test_traces.py",
        "tests/cli/demo/test_demo.py",
        "tests/cli/test_serve.py",
        "tests/test_found.py",
        "tests/test_layering.py",
        "tests/test_promises.py",
        "tests/test_repository.py",
        "tests/test_rules.py",
    ),
    kept=ROOT / ".mutants",
)

ON_POSTGRES = "gateway/store/postgres"
"""Left alone where there is no PostgreSQL: no test could notice a fault in it."""

ENOUGH = 97.0
"""Percent of the faults that must be noticed, of those not known to change nothing."""


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants ARGS=...", description=__doc__)
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[1], help="which faults are drawn (default: 1); several: each in turn"
    )
    parser.add_argument("--count", type=int, default=300, help="how many by each seed (default: 300)")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose identity contains TEXT, all of them")
    parser.add_argument(
        "--again", type=Path, metavar="FILE", help="those that an earlier run's output lists as not noticed"
    )
    parser.add_argument(
        "--tests", nargs="+", default=[], metavar="PATH", help="folders or files of tests to try them by (default: all)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes at once (default: 2)")
    parser.add_argument("--seconds", type=float, default=ENOUGH_SECONDS, help="of tests for each fault (default: 60)")
    parser.add_argument("--fresh", action="store_true", help="note anew which test runs which line")
    parser.add_argument("--verbose", action="store_true", help="list the noticed faults too, with the test")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    chosen = options(arguments)
    begun = time.monotonic()
    out = os.fdopen(os.dup(1), "w", buffering=1)

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {line}", file=out)

    drawn: dict[int, list[Mutant]] = {}

    def choose(mutants: list[Mutant]) -> Iterable[Mutant]:
        if chosen.again is not None:
            listed = {line.strip().removeprefix("not noticed: ") for line in lines_of(chosen.again)}
            return [mutant for mutant in mutants if mutant.identity.strip() in listed]
        if chosen.only:
            return [mutant for mutant in mutants if chosen.only in mutant.identity]
        for seed in chosen.seed:
            drawn[seed] = list(draw(mutants, chosen.count, seed))
        return dict.fromkeys(mutant for each in drawn.values() for mutant in each)

    missing = [each for each in (*GATEWAY.targets, *GATEWAY.left_out) if not (ROOT / each).exists()]
    if missing:
        print(f"not there any more, name them anew in {__file__}: {', '.join(missing)}", file=out)
        return 2
    tests = tuple(chosen.tests) or GATEWAY.tests
    project = replace(GATEWAY, tests=tests, workers=chosen.workers, seconds=chosen.seconds, fresh=chosen.fresh)
    if lacking := postgres.missing():
        if os.environ.get("CI"):
            print(lacking, file=out)
            return 2
        say(f"{ON_POSTGRES} is left alone: {lacking}")
        project = replace(project, left_alone=(ON_POSTGRES,))
    if chosen.again is None and not chosen.only:
        say(f"{chosen.count} faults each by the seeds {', '.join(map(str, chosen.seed))}")
    with ExitStack() as stack:
        if not lacking:
            servers = [stack.enter_context(postgres.server()) for _ in range(project.workers)]
            project = replace(project, servers=tuple(str(each.folder) for each in servers))
        run = Run(project, choose, say)
        status = try_all(project, run)
    if status != pytest.ExitCode.OK:
        print(f"the tests can't be collected: {status!r}", file=out)
        return 2
    print("\n".join(report(run.tried, run.not_counted, verbose=chosen.verbose)), file=out)
    shares = [share(run.tried)]
    if drawn:
        of = {each.mutant: each for each in run.tried}
        by_seed = {seed: [of[mutant] for mutant in mutants if mutant in of] for seed, mutants in drawn.items()}
        print("\n".join(f"seed {seed}: {summary(each)}" for seed, each in by_seed.items()), file=out)
        shares = [share(each) for each in by_seed.values()]
    return 0 if min(shares) >= ENOUGH else 1


def lines_of(output: Path) -> list[str]:
    """An earlier run's output, without the times before its lines."""
    return [line.partition("] ")[2] if line.startswith("[") else line for line in output.read_text().splitlines()]


def try_all(project: Project, run: Run) -> int:
    stores = "both" if project.servers else "sqlite"
    arguments = [
        "-q",
        "-s",
        "-o",
        "timeout=0",
        "--stores",
        stores,
        *(f"--ignore={project.root / each}" for each in project.left_out),
    ]
    return pytest.main([*arguments, *(str(project.root / each) for each in project.tests)], plugins=[Profile(), run])


def share(tried: list[Tried]) -> float:
    """Percent noticed of those that are not known to change nothing."""
    counted = [each for each in tried if each.killed_by is not None or each.mutant.identity not in KNOWN]
    return 100 * sum(each.killed_by is not None for each in counted) / max(1, len(counted))


def stale(root: Path, known: dict[str, str]) -> list[str]:
    """Known faults that can't be made any more, since their statement has changed."""
    files = {identity.split("::")[0] for identity in known}
    sources = {file: (root / file).read_text() for file in files if (root / file).exists()}
    possible = {each.identity for file, source in sources.items() for each in find(source, file)}
    return sorted(set(known) - possible)


def report(tried: list[Tried], not_counted: list[str], *, verbose: bool = False) -> Iterator[str]:
    killed = [each for each in tried if each.killed_by is not None]
    survivors = [each for each in tried if each.killed_by is None]
    for title, key in (("file", lambda each: each.mutant.file), ("operator", lambda each: each.mutant.operator)):
        yield f"\n{title:44} faults  noticed"
        every, noticed = Counter(map(key, tried)), Counter(map(key, killed))
        for name in sorted(every):
            yield f"{name:44} {every[name]:6}  {noticed[name]:7}"
    if not_counted:
        yield f"\n{len(set(not_counted))} tests fail without a fault or alone, and are not counted:"
        yield from (f"  {test}" for test in sorted(set(not_counted)))
    if verbose:
        yield "\nNoticed:"
        for each in killed:
            yield f"  noticed: {each.mutant.identity}\n      {each.how} after {each.seconds:.0f} s: {each.killed_by}"
    yield f"\n{len(survivors)} not noticed:"
    for number, each in zip(counting(1), sorted(survivors, key=lambda each: each.mutant.identity), strict=False):
        mutant = each.mutant
        yield f"\n{number}. {mutant.file}:{mutant.lines[0]} in {mutant.qualname or 'the module'} ({mutant.operator})"
        yield f"     {mutant.statement}"
        yield f"     {mutant.change}"
        yield f"     {len(each.tests)} tests run it; {KNOWN.get(mutant.identity, 'not known to change nothing')}"
        yield f"     {mutant.identity}"
    if old := stale(ROOT, KNOWN):
        yield "\nIn the list of known faults, and not possible any more:"
        yield from (f"  {identity}" for identity in old)
    yield f"\n{summary(tried)}"


def summary(tried: list[Tried]) -> str:
    """The figures of these faults in one line."""
    killed = sum(each.killed_by is not None for each in tried)
    known = sum(each.killed_by is None and each.mutant.identity in KNOWN for each in tried)
    return (
        f"{len(tried)} faults, {killed} noticed: {100 * killed / max(1, len(tried)):.1f} %;"
        f" {known} of the rest are known to change nothing; without these {share(tried):.1f} % ({ENOUGH:g} % needed)"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
