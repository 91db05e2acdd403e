"""Inputs that fuzzing found, and the seeds it starts from: none of them breaks its target again."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize(
    ("target", "path"),
    [(target, path) for target in sorted(TARGETS) for path in sorted((CORPUS / target).iterdir())],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_known_input_keeps_its_target_whole(target: str, path: Path) -> None:
    """Whatever it is: read or refused, as promised."""
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_target_has_a_corpus(target: str) -> None:
    """Else nothing would be tested here."""
    assert list((CORPUS / target).iterdir())
