"""``docs/architecture.md`` names files and packages that exist, and leaves out no package."""

import re

from tests.layering import MAY_IMPORT
from tests.support.named_tests import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")

BESIDE_THE_MAP = {
    "errors",
    "histogram",
    "ticks",
    "openssl",
    "quick_frozen",
    "signals",
    "api",
    "__main__",
    "simulator",
} | {
    "asyncio_listener",
    "crowds",
}
"""Single modules, generated code, and the simulated wallbox, which imports nothing of the gateway."""


def test_every_file_that_the_page_names_exists() -> None:
    """A moved file is moved there, too."""
    files = re.findall(r"`(gateway/[\w/]+\.py)`", PAGE)
    assert len(files) > 40
    assert [file for file in files if not (REPOSITORY / file).is_file()] == []


def test_every_package_is_on_the_map() -> None:
    """Each that other packages may import, or that imports them."""
    drawn = set(re.findall(r"[a-z]\w+", PAGE.split("```")[1]))
    assert set(MAY_IMPORT) - BESIDE_THE_MAP - drawn == set()


def test_the_readme_links_the_page() -> None:
    """It is the door for a new reader."""
    assert "(docs/architecture.md)" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
