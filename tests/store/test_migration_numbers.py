"""Numbers of the migrations' files: each is the schema version that it leads to."""

from importlib import resources

import pytest


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_each_file_is_named_by_the_version_that_it_leads_to(store: str) -> None:
    """Two with one number would swap places when one of them is renamed."""
    folder = resources.files(f"gateway.store.{store}") / "migrations"
    numbers = sorted(each.name.partition("_")[0] for each in folder.iterdir() if each.name.endswith(".sql"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
