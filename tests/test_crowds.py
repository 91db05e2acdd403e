"""Which of several connections goes where not all can stay."""

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from gateway.crowds import oldest_of_largest


@frozen
class Waiting:
    """A connection: where it comes from, and how many came before it."""

    site: str
    number: int


def waiting(sites: str) -> list[Waiting]:
    """One from each of these, in this order."""
    return [Waiting(site, number) for number, site in enumerate(sites)]


def test_nobody_waits() -> None:
    """Then none goes."""
    assert oldest_of_largest([]) is None


def test_the_oldest_of_the_largest_crowd_goes() -> None:
    """Not the oldest of all, which comes from elsewhere; with several crowds of one size the oldest of these."""
    assert oldest_of_largest(waiting("abb")) == Waiting("b", 1)
    assert oldest_of_largest(waiting("cabab")) == Waiting("a", 1)
    assert oldest_of_largest(waiting("abc")) == Waiting("a", 0)


@given(st.text("abc", max_size=30), st.integers(0, 100))
def test_one_alone_at_its_site_goes_only_where_all_are(sites: str, at: int) -> None:
    """However often the others come."""
    those = waiting(sites)
    those.insert(at % (len(those) + 1), Waiting("alone", -1))
    going = oldest_of_largest(those)
    assert going is not None
    if going.site == "alone":
        assert len({each.site for each in those}) == len(those)
