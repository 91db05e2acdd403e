"""Profiles of makes: which one fits, and which one counts."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import BootInformation
from gateway.domain.quirks import (
    BOUNDS,
    BUILT_IN,
    MAX_MEASURANDS,
    MAX_MEASURANDS_LENGTH,
    MAX_REMEMBERED,
    NEVER_BOOTED_SECONDS,
    EffectiveQuirks,
    Origin,
    Quirk,
    QuirkBook,
    QuirkValues,
    changed,
    faults,
    to_mapping,
)
from gateway.store.encoding import from_quirks, to_quirks

WALLBOX = BootInformation("Wall Box Chargers", "PLP1-0-2-3", firmware_version="6.4.14")
OTHER = BootInformation("Acme", "One", firmware_version="1.0")


@pytest.mark.parametrize(
    ("quirk", "fits"),
    [
        (Quirk("wall box chargers"), True),
        (Quirk("Wall*"), True),
        (Quirk("Wall Box Chargers", "PLP1*", "6.*"), True),
        (Quirk("Wall Box Chargers", "CPB1*"), False),
        (Quirk("Wall Box Chargers", firmware="5.*"), False),
        (Quirk("Wall"), False),
        (Quirk("*ers"), True),
        (Quirk("*Box*Ch*"), True),
        (Quirk("*Box*Ch*x"), False),
        (Quirk("Wall Box Chargers*Chargers"), False),
        (Quirk("Wall Box Charger?"), False),
        (Quirk("Wall Box Charger[s]"), False),
    ],
)
def test_a_profile_fits_by_vendor_model_and_firmware(quirk, fits):
    """As the charger names them, without regard to case; * stands for any text."""
    assert quirk.fits(WALLBOX) == fits


@given(pattern=st.text("aB*", max_size=8), said=st.text("Ab", max_size=12))
def test_a_star_stands_for_any_text_wherever_it_is(pattern, said):
    """As a regular expression would have it, without its costs."""
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), said, re.IGNORECASE | re.DOTALL)
    assert Quirk(pattern).fits(BootInformation(said, "")) == (expected is not None)


def test_no_other_character_is_special():
    """Makes put brackets and question marks into their names."""
    assert Quirk("X [EU]?").fits(BootInformation("x [eu]?", "One"))


DEFAULTS = EffectiveQuirks(settle_delay=2.0, ready_after_silence=2.0, own_requests=True)


def book(*settings: Quirk, defaults: EffectiveQuirks = DEFAULTS) -> QuirkBook:
    return QuirkBook(defaults, (*BUILT_IN, *settings))


def test_only_makes_that_need_it_are_left_alone_for_longer() -> None:
    """The built-in ones, each with its source; all others are ready after the default."""
    found = book().of(WALLBOX)
    assert found.ready_after_silence == 30.0
    origin, detail = found.origins["ready_after_silence"]
    assert origin is Origin.BUILT_IN
    assert detail.startswith("Wall Box Chargers: lbbrhzn/ocpp #1503")
    assert found.origins["settle_delay"] == (Origin.DEFAULT, "")
    assert book().of(OTHER).ready_after_silence == 2.0


def test_every_built_in_profile_names_its_make_and_its_source() -> None:
    """None is for all, none says nothing, and none is of unknown origin."""
    for each in BUILT_IN:
        assert "*" not in each.vendor
        assert each.source
        assert to_mapping(each.values)
        assert each.origin is Origin.BUILT_IN
        assert faults(each.values, "") == []


def test_the_last_profile_that_fits_counts() -> None:
    """Those of the settings come behind the built-in ones; one that says nothing of a value leaves it."""
    first = Quirk("Wall*", values=QuirkValues(ready_after_silence=7.0, settle_delay=4.0), source="quirks[0]")
    second = Quirk("Wall*", values=QuirkValues(settle_delay=9.0), source="quirks[1]")
    found = book(first, second, Quirk("Acme", values=QuirkValues(settle_delay=1.0))).of(WALLBOX)
    assert (found.ready_after_silence, found.settle_delay) == (7.0, 9.0)
    assert found.origins["ready_after_silence"] == (Origin.SETTINGS, "Wall*: quirks[0]")
    assert found.origins["settle_delay"] == (Origin.SETTINGS, "Wall*: quirks[1]")


def test_what_is_said_for_one_charger_prevails() -> None:
    """Also where it is false, or nothing, or the same as what its make says."""
    own = QuirkValues(ready_after_silence=0.0, own_requests=False)
    found = book(Quirk("Wall*", values=QuirkValues(own_requests=True))).of(WALLBOX, own)
    assert (found.ready_after_silence, found.own_requests) == (0.0, False)
    assert found.origins["own_requests"] == found.origins["ready_after_silence"] == (Origin.CHARGE_POINT, "")


def test_a_charger_that_never_booted_here_is_left_alone_a_little_longer() -> None:
    """It is about to boot, most likely, and its make is not known: only a profile for all fits it."""
    assert book().of(None).ready_after_silence == NEVER_BOOTED_SECONDS
    assert book(defaults=EffectiveQuirks(ready_after_silence=20.0)).of(None).ready_after_silence == 20.0
    for_all = Quirk("*", values=QuirkValues(assume_subprotocol=True))
    for_a_make = Quirk("*", "One", values=QuirkValues(accept_hex_password=True))
    found = book(for_all, for_a_make).of(None)
    assert (found.assume_subprotocol, found.accept_hex_password) == (True, False)


def test_the_same_make_has_one_profile() -> None:
    """It weighs nothing in a session; beyond the bound all are worked out anew, and alike."""
    of = book().of
    first = of(WALLBOX)
    assert of(BootInformation("Wall Box Chargers", "PLP1-0-2-3", iccid="1", firmware_version="6.4.14")) is first
    assert of(WALLBOX, QuirkValues(settle_delay=1.0)) is not first
    for number in range(MAX_REMEMBERED):
        of(BootInformation("Acme", f"model {number}"))
    again = of(WALLBOX)
    assert again is not first
    assert again == first


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items())
def test_a_number_has_bounds(name: str, bounds: tuple[float, float]) -> None:
    """At the bound, and one beyond."""
    least, most = bounds
    for value in (least, most):
        assert faults(QuirkValues(**{name: value}), "quirks.") == []
    for value in (least - 1, most + 1, math.nan, math.inf):
        (fault,) = faults(QuirkValues(**{name: value}), "quirks.")
        assert fault.field == f"quirks.{name}"


def test_lists_of_measurands_have_bounds() -> None:
    """Of their number, and of each."""
    assert faults(QuirkValues(measurands=("x" * MAX_MEASURANDS_LENGTH,) * MAX_MEASURANDS), "") == []
    assert [each.field for each in faults(QuirkValues(measurands=("x",) * (MAX_MEASURANDS + 1)), "")] == ["measurands"]
    wrong = ("", "x" * (MAX_MEASURANDS_LENGTH + 1), "a\nb")
    assert [each.field for each in faults(QuirkValues(measurands=wrong), "q.")] == [
        f"q.measurands[{index}]" for index in range(3)
    ]


def test_a_patch_names_what_it_changes() -> None:
    """None unsays; what is the same is no change."""
    before = QuirkValues(own_requests=False, settle_delay=3.0)
    after, names = changed(before, {"own_requests": None, "settle_delay": 3.0, "ping_interval": 9.0})
    assert after == QuirkValues(settle_delay=3.0, ping_interval=9.0)
    assert names == ("own_requests", "ping_interval")


@given(
    st.builds(
        QuirkValues,
        own_requests=st.none() | st.booleans(),
        settle_delay=st.none() | st.floats(0, 300),
        measurands=st.none() | st.lists(st.text(max_size=5), max_size=3).map(tuple),
        max_stack_level=st.none() | st.integers(0, 1000),
    )
)
def test_values_are_stored_and_read_back(values: QuirkValues) -> None:
    """Whatever is said, and nothing more; a name of a later version is passed over."""
    column = to_quirks(values)
    assert from_quirks(column) == values
    assert from_quirks('{"from_the_future":1}') == QuirkValues()
