"""A harness for each test, on a store of its own. The secrets of each scenario are looked for in all that it leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.harness import Harness
from tests.support.secret_search import SearchedHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = SearchedHarness(tmp_path)
    with capture_logs() as harness.logged:
        yield harness
        found = harness.found()  # before the store is closed, while its log of writes is there
        harness.store.close()
        assert (found, harness.found_on_disk()) == ([], [])
