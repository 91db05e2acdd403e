"""Pacing: when the next piece of work may begin."""

from gateway.control.pace import Pacing
from gateway.domain.fleet import Pace


def begun_by(pacing: Pacing, until: float, places_taken: int = 0) -> list[float]:
    """The times at which work that always waits begins."""
    found, now = [], 0.0
    while now <= until:
        wait = pacing.wait(places_taken, now)
        assert wait is not None
        now += wait
        if now <= until:
            found.append(round(now, 6))
            pacing.begun(now)
    return found


def test_work_begins_evenly() -> None:
    """Thirty a minute are one every two seconds, the first one at once."""
    assert begun_by(Pacing(Pace(30.0, 5)), 6.0) == [0.0, 2.0, 4.0, 6.0]


def test_a_rate_that_was_not_used_is_not_saved_up() -> None:
    """After a pause there is no burst."""
    pacing = Pacing(Pace(60.0, 5))
    pacing.begun(0.0)
    assert pacing.wait(0, 100.0) == 0
    pacing.begun(100.0)
    assert pacing.wait(0, 100.0) == 1.0


def test_only_so_much_goes_on_at_once() -> None:
    """However slow the rate was used."""
    pacing = Pacing(Pace(60.0, 2))
    assert [pacing.wait(under_way, 1000.0) for under_way in (0, 1, 2, 3)] == [0, 0, None, None]
