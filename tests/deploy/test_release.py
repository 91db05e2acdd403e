"""`make release`: what it refuses to release."""

from scripts.release import problems

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-12-01\n\n### Added\n"


def test_a_version_that_is_committed_tagged_and_in_the_changelog_is_released() -> None:
    """Other tags of the commit are in nothing's way."""
    assert list(problems("1.2.0", CHANGELOG, "", "stable\nv1.2.0\n")) == []


def test_what_a_release_would_not_hold_is_named() -> None:
    """Each reason, at once."""
    found = list(problems("1.2.1", CHANGELOG, " M README.md\n?? new\n", "v1.2.0\n"))
    assert found == [
        "CHANGELOG.md has no section [1.2.1] with a date",
        "there are changes that are not committed: 2 files",
        "the commit has no tag v1.2.1",
    ]


def test_a_version_is_not_taken_for_a_longer_one() -> None:
    """Nor is a dot for any character."""
    assert next(problems("1.2", CHANGELOG, "", "v1.2")).startswith("CHANGELOG.md")
    assert list(problems("1x2.0", CHANGELOG, "", "v1x2.0")) == ["CHANGELOG.md has no section [1x2.0] with a date"]
