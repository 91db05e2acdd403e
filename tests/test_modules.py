"""Modules of the gateway are named by nouns and short enough to be read at one sitting."""

from pathlib import Path

import pytest

from tests.support.named_tests import REPOSITORY

GATEWAY = REPOSITORY / "gateway"

MODULES = sorted(path for path in GATEWAY.rglob("*.py") if GATEWAY / "api" not in path.parents)
"""Generated code is left out."""

NOUNS = {
    "charging": "OCPP's word for what a charging profile governs",
    "encoding": "the form in which values are stored",
    "feed": "no participle",
    "framing": "RFC 6455's word for the part of WebSocket that makes and reads frames",
    "housekeeping": "the work that is due now and then",
    "metering": "OCPP's word for the measurement of energy",
    "paging": "the field's word for lists in pages",
    "provisioning": "OCPP's word for setting up a charge point's configuration",
    "ring": "no participle",
    "signing": "the certification of a charger's key, and the name of its use case in OCPP",
    "steering": "the bringing about of a wanted charging rate, as a helm does it",
    "routing": "the way from an RPC to its handler, as gRPC and HTTP call it",
}
"""Nouns of the field or of the language that look like participles, each with the reason."""

LIMIT = 400
"""Lines of a module. Longer ones hold two subjects between which a reader scrolls."""


def is_noun(name: str) -> bool:
    """Tell whether a module's or a package's name may be one."""
    last = name.rpartition("_")[2]
    return last in NOUNS or not last.endswith(("ing", "ed"))


def lines_of(path: Path) -> int:
    """The number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def names() -> set[str]:
    """The names of all modules, and of the packages they are in."""
    return {part.removesuffix(".py") for path in MODULES for part in path.relative_to(GATEWAY).parts}


def test_modules_and_packages_are_named_by_nouns() -> None:
    """A participle names an action, and each reader asks of what."""
    assert [name for name in sorted(names()) if not is_noun(name)] == []


def test_each_exception_of_a_name_is_in_use() -> None:
    """One that is not would let a new module through."""
    assert [noun for noun in NOUNS if not any(name.rpartition("_")[2] == noun for name in names())] == []


@pytest.mark.parametrize(
    ("name", "noun"),
    [("following", False), ("settled", False), ("values_reading", False), ("metering", True), ("session", True)],
)
def test_a_participle_is_found(name: str, noun: bool) -> None:
    """The check can fail, also at the end of a longer name."""
    assert is_noun(name) is noun


def test_no_module_is_longer_than_the_limit() -> None:
    """One that is has two subjects, and is to be parted by them."""
    longer = {str(path.relative_to(GATEWAY)): lines_of(path) for path in MODULES}
    assert {name: lines for name, lines in longer.items() if lines > LIMIT} == {}
