"""The progress of many simulated chargers: little output while all is well, and the place to look at where it isn't."""

import pytest

from gateway.cli.simulate.progress import SimulationProgress, with_hint


def said(progress: SimulationProgress, *events: tuple[str, str]) -> list[str]:
    """Everything that is said of events."""
    words = []
    for identity, name in events:
        words += [f"{identity} {what}" for what, _ in progress.lines(identity, name, {})]
        if progress.complete():
            words.append("all")
    return words


def test_one_line_when_all_are_connected():
    """And nothing of each of them."""
    assert said(SimulationProgress(2), ("A", "connecting"), ("A", "link_up"), ("B", "link_up"), ("B", "status")) == [
        "all"
    ]


def test_one_that_is_back_is_reported():
    """With the others it is complete again."""
    progress = SimulationProgress(2)
    said(progress, ("A", "link_up"), ("B", "link_up"))
    lost = ("A", "link_lost"), ("A", "link_failed"), ("A", "link_up"), ("A", "boot_failed")
    assert said(progress, *lost) == ["A link_lost", "A link_failed", "A link_back", "all", "A boot_failed"]


def test_one_alone_reports_everything():
    """Its whole life is what one looks at."""
    assert said(SimulationProgress(1), ("A", "connecting"), ("A", "link_up"))[:2] == ["A connecting", "A link_up"]


@pytest.mark.parametrize(
    ("reason", "option"),
    [("refused with HTTP 401", "--key"), ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "--ca")],
)
def test_a_failure_names_the_option_to_look_at(reason, option):
    """The reason stays."""
    assert with_hint({"reason": reason})["reason"].startswith(f"{reason} (")
    assert option in str(with_hint({"reason": reason})["reason"])
    assert with_hint({"reason": "closed"}) == {"reason": "closed"}
