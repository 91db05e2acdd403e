"""Files for browsers: vendored files as npm's lock has them, and a bound on the first page's script."""

import gzip
import json

import pytest

from scripts.console_assets import ASSETS, DIGESTS, ROOT, STATIC, digest

SCRIPT_BYTES = 150 * 1024
"""Of the first page, compressed: what a slow link loads within a second."""


def test_vendored_files_are_those_that_were_noted() -> None:
    """They are not edited; another version comes by `make console-assets`."""
    lines = [line.split("  ") for line in DIGESTS.read_text(encoding="utf-8").splitlines()]
    noted = {name: found for found, name, _ in lines}
    assert noted == {name: digest(STATIC / name) for name in ASSETS}


@pytest.mark.parametrize("name", ASSETS)
def test_vendored_files_are_npms(name: str) -> None:
    """Of the version that the lock has; where npm's packages are not installed, the digest alone is held."""
    package = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]["node_modules/uplot"]
    assert f"v{package['version']}" in (STATIC / "uplot.js").read_text(encoding="utf-8")[:100]
    source = ROOT / "node_modules" / ASSETS[name]
    if source.exists():
        assert source.read_bytes() == (STATIC / name).read_bytes()


def test_the_script_of_a_page_is_small() -> None:
    sizes = [len(gzip.compress(path.read_bytes())) for path in STATIC.glob("*.js")]
    assert 0 < sum(sizes) < SCRIPT_BYTES


def test_scripts_are_sent_as_scripts() -> None:
    """Each static file has a page that needs it, and pages name no other."""
    templates = "".join(path.read_text(encoding="utf-8") for path in STATIC.parent.glob("templates/*.html"))
    served = {path.name for path in STATIC.iterdir()} - {"VENDORED", "uplot.LICENSE"}
    assert {name for name in served if f"/static/{name}" in templates} == served
