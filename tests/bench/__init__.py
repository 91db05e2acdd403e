"""The bench's own rules and parts; measurements are no tests. Skipped where what it needs isn't installed."""

import pytest

for _package in ("hdrh", "matplotlib"):
    pytest.importorskip(_package, reason=f"{_package} comes with make bench")
