"""Profiles of makes: which one fits, and which one counts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import BootInformation
from gateway.domain.quirks import BUILT_IN, NEVER_BOOTED_SECONDS, Quirk, ready_after_silence

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


def test_only_makes_that_need_it_are_left_alone_for_longer():
    """The built-in ones, each with its source; everybody else is ready after the default."""
    assert ready_after_silence(WALLBOX, BUILT_IN, 2.0) == 30.0
    assert ready_after_silence(OTHER, BUILT_IN, 2.0) == 2.0


def test_the_last_profile_that_fits_counts():
    """Those of the settings come behind the built-in ones; one that says nothing changes nothing."""
    settings = (Quirk("Wall*", ready_after_silence=7.0), Quirk("Wall*", ready_after_silence=None))
    assert ready_after_silence(WALLBOX, (*BUILT_IN, *settings), 2.0) == 7.0


def test_a_charger_that_never_booted_here_is_left_alone_a_little_longer():
    """It is about to boot, most likely, and its make is not known."""
    assert ready_after_silence(None, BUILT_IN, 2.0) == NEVER_BOOTED_SECONDS
    assert ready_after_silence(None, BUILT_IN, 20.0) == 20.0
