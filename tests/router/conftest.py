"""A harness for each test, on a store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.harness import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.store.close()
