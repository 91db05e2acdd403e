"""The energy of a session: one vector for each rule of metering, with the right value worked out by hand."""

import hashlib
import random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.metering import Edge, Metering
from gateway.energy.quality import Basis, Quality
from gateway.energy.session import RULES_VERSION, session_energy
from tests.energy.values import at, intervals, mwh, powers, running, samples, session

STOP_MINUS_START, DELTAS, SEGMENTS, POWER, UNKNOWN = (
    Basis.STOP_MINUS_START,
    Basis.REGISTER_DELTAS,
    Basis.SEGMENTS,
    Basis.POWER,
    Basis.UNKNOWN,
)

# name: (what was metered, Wh, how it is found, what is doubted)
VECTORS = {
    "E13 stop less start": (session(1000, 6100, (10, 2000), (119, 6050)), 5100, STOP_MINUS_START, ""),
    "E13 no samples": (session(1000, 6000), 5000, STOP_MINUS_START, ""),
    "E13 nothing charged": (session(1000, 1000, (10, 1000), (110, 1000)), 0, STOP_MINUS_START, ""),
    "E12 rounding between samples": (
        session(1000, 3000, (10, 2000), (20, 1999.5), (30, 2500)), 2000, STOP_MINUS_START, ""),
    "E13 the last sample a little above the stop": (session(1000, 6000, (110, 6040)), 5000, STOP_MINUS_START, ""),
    "E13 whole kilowatt-hours at the edges": (session(1000, 6000, (10, 1400), (110, 6700)), 5000, STOP_MINUS_START, ""),
    "E15 session register beside lifetime edges": (
        session(500_000, 505_000, (10, 1000), (110, 4900)), 5000, STOP_MINUS_START, "session-register"),
    "E15 session register while it runs": (
        running(500_000, (10, 1000), (50, 4000)), 4000, DELTAS, "stop-missing session-register"),
    "E15 the stop counts the session too": (
        session(500_000, 5000, (10, 1000), (110, 4900)), 5000, DELTAS, "start-left-out session-register"),
    "E15 session register, stop did not move": (
        session(500_000, 500_000, (10, 1000), (50, 5000)), 5000, DELTAS, "stop-left-out session-register reset"),
    "E15 stop far beyond the session register": (
        session(100_000, 150_000, (40, 500), (80, 2500), (115, 5000)), 5000, DELTAS,
        "stop-left-out session-register jump"),
    "E15b lifetime register after a start of 0": (
        session(0, 452_300, (0.2, 450_000), (59, 452_200)), 2300, DELTAS, "start-left-out jump"),
    "E15b lifetime register after a start of 0, slowly": (
        session(0, 452_300, (60, 450_000), (110, 452_200)), 2300, DELTAS, "start-left-out jump"),
    "E15b first samples 0 as well": (
        session(0, 452_300, (0, 0), (20, 450_000)), 2300, DELTAS, "start-left-out jump"),
    "E15b lifetime after an hour of 0": (
        session(0, 452_300, (60, 0), (90, 450_000)), 2300, SEGMENTS, "jump"),
    "E16 reset on the way": (
        session(1000, 900, (10, 2000), (20, 5000), (30, 100), (40, 900)), 4800, SEGMENTS, "reset"),
    "E16 two resets": (
        session(1000, 700, (10, 2000), (20, 10), (30, 510), (40, 5), (50, 205), (60, 405)), 2195, SEGMENTS, "reset"),
    "E16 a reset that no sample follows": (
        session(1000, 0, (10, 2000), (110, 6000)), 5000, DELTAS, "stop-left-out reset"),
    "E16 one low sample": (session(1000, 6000, (10, 2000), (20, 100), (30, 3000)), 5000, STOP_MINUS_START, "outliers"),
    "E16 one high sample": (
        session(1000, 6000, (10, 2000), (20, 900_000), (30, 3000)), 5000, STOP_MINUS_START, "outliers"),
    "E16 two low samples before a stop that fits": (
        session(1000, 6000, (10, 2000), (20, 5000), (30, 100), (40, 900)), 5000, STOP_MINUS_START, "outliers"),
    "E17 another meter, lower": (
        session(1000, 900, (10, 2000), (30, 100), meter_changes=(at(20),)), 1800, SEGMENTS, "meter-changed"),
    "E17 another meter, higher": (
        session(1000, 9900, (10, 2000), (30, 9100), meter_changes=(at(20),)), 1800, SEGMENTS, "meter-changed"),
    "E12 stuck at the stop": (session(1000, 1000, (10, 2000), (50, 6000)), 5000, DELTAS, "stop-left-out reset"),
    "E12 stuck, but power flowed": (
        session(1000, 1010, (60, 1005), powers=powers(*((m, 7000) for m in range(0, 121, 10)))), 10, STOP_MINUS_START,
        "power-disagrees"),
    "E10 kilowatt-hours as watt-hours": (
        session(1000, 1014, (60, 1007), powers=powers(*((m, 7000) for m in range(0, 121, 10)))), 14, STOP_MINUS_START,
        "power-disagrees"),
    "E13 no register at the stop": (session(1000, None, (10, 2000), (110, 6000)), 5000, DELTAS, "stop-missing"),
    "E13 no register at the start": (session(None, 6000, (10, 2000), (110, 5900)), 4000, DELTAS, "start-missing"),
    "E14 the begin's sample where the start has no register": (
        session(None, 6000, (10, 2000), begins=samples((0, 1500))), 4500, DELTAS, "start-missing"),
    "E14 the begin's sample alone": (
        session(None, 6000, begins=samples((0.5, 1500))), 4500, DELTAS, "start-missing"),
    "E15b the begin's sample alone, of 0": (
        session(None, 510_000, begins=samples((0, 0))), None, UNKNOWN, "start-missing"),
    "E15 the begin's sample of 0 beside others": (
        session(None, 6000, (10, 1000), begins=samples((0, 0))), 6000, DELTAS, "start-missing"),
    "E14 the begin's sample without a time": (
        session(None, 6000, (10, 2000), begins=samples((11, 1500), timed=False)), 4500, DELTAS, "start-missing"),
    "E14 of several samples of the begin the lowest": (
        session(None, 6000, (10, 2000), begins=samples((0, 1500), (0.1, 1501))), 4500, DELTAS, "start-missing"),
    "E14 the begin's sample beside a start": (
        session(1000, 6000, (10, 2000), begins=samples((0, 1500))), 5000, STOP_MINUS_START, ""),
    "E14 the begin's sample is none of later": (
        session(None, 6000, (10, 2000), (40, 5000), begins=samples((30, 1500))), 4000, DELTAS, "start-missing"),
    "E15 the begin's sample is of another register": (
        session(500_000, 5000, (10, 1000), (110, 4900), begins=samples((0, 500_000))), 5000, DELTAS,
        "start-left-out session-register"),
    "E15b the begin's sample shows where a start of 0 was": (
        session(0, 452_300, (10, 450_900), begins=samples((0, 450_000))), 2300, DELTAS, "start-left-out jump"),
    "E13 none at either end": (
        session(None, None, (10, 2000), (110, 5900)), 3900, DELTAS, "start-missing stop-missing"),
    "E13 it runs": (running(1000, (10, 2000), (50, 5000)), 4000, DELTAS, "stop-missing"),
    "B5.8 stop below start, no samples": (session(6000, 1000), None, UNKNOWN, "start-left-out stop-left-out reset"),
    "no register at all": (session(None, None), None, UNKNOWN, "start-missing stop-missing"),
    "it has just begun": (running(1000), None, UNKNOWN, "stop-missing"),
    "E20 energies of intervals": (
        session(
            None,
            None,
            powers=powers((0, 6000), (10, 6000)),
            intervals=intervals((30, 1000), (60, 2000), (60, 2000), (90, 500), (200, 700))
            + intervals((60, 3000), (120, 600), context="Sample.Clock"),
        ),
        3500,
        Basis.INTERVALS,
        "start-missing stop-missing",
    ),
    "E28 energies of intervals that no meter shows": (
        session(None, None, intervals=intervals(*((minute, 10**15) for minute in range(1, 30)))),
        None, UNKNOWN, "start-missing stop-missing"),
    "E20 a register goes before intervals": (
        session(1000, 6000, intervals=intervals((30, 1000), (60, 2000))),
        5000,
        STOP_MINUS_START,
        "",
    ),
    "E20 a register that stands still beside intervals": (
        session(0, 0, intervals=intervals(*((m, 500) for m in range(10, 121, 10)))), 0, STOP_MINUS_START,
        "power-disagrees"),
    "E10 a register in kilowatt-hours beside intervals": (
        session(1000, 1006, intervals=intervals(*((m, 500) for m in range(10, 121, 10)))), 6, STOP_MINUS_START,
        "power-disagrees"),
    "E10 intervals in kilowatt-hours beside a register": (
        session(1000, 7000, intervals=intervals(*((m, 0.5) for m in range(10, 121, 10)))), 6000, STOP_MINUS_START,
        "power-disagrees"),
    "E20 intervals of a part of the session": (
        session(1000, 21_000, intervals=intervals((10, 500), (20, 500), (30, 500))), 20_000, STOP_MINUS_START, ""),
    "E20 some intervals are missing": (
        session(1000, 21_000, intervals=intervals((10, 500), (20, 500), (120, 500))), 20_000, STOP_MINUS_START, ""),
    "E20 the first interval began before the session": (
        session(1000, 1100, intervals=intervals((5, 9000), (35, 50), (65, 30), (95, 20))), 100, STOP_MINUS_START, ""),
    "power alone": (
        session(None, None, powers=powers((0, 6000), (10, 6000), (20, 12_000))), 2500, POWER,
        "start-missing stop-missing"),
    "E21 two places are two registers": (
        evolve(session(1000, 6000, (10, 2000), (110, 5900)),
               registers=samples((10, 2000), (110, 5900)) + samples((10, 90_000), place="Inlet")),
        5000, STOP_MINUS_START, ""),
    "E22 two values of one moment": (
        session(1000, 6000, (10, 2000), (10, 1900), (20, 2500)), 5000, STOP_MINUS_START, ""),
    "E24 a closing sample after the stop": (session(1000, 6000, (10, 2000), (120.5, 6000)), 5000, STOP_MINUS_START, ""),
    "B6.4 samples of later": (session(1000, 6000, (10, 2000), (180, 9000)), 5000, STOP_MINUS_START, ""),
    "B5.8 stop before start": (
        Metering(Edge(at(0), mwh(1000)), Edge(at(-5), mwh(2000))), 1000, STOP_MINUS_START, "stop-before-start"),
    "quirk 19 the start's clock was not set": (
        evolve(session(1000, 6000), start=Edge(at(0), mwh(1000), timed=False)), 5000, STOP_MINUS_START,
        "clock-suspect"),
    "E28 a register of 4 GWh": (session(4_290_000_000, 4_290_005_000), 5000, STOP_MINUS_START, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_the_energy_of_a_session_is_what_its_registers_tell(name):
    """A session's energy, how it was found, and all that is doubtful about it."""
    metering, wh, basis, doubts = VECTORS[name]
    energy = session_energy(metering)
    assert (energy.total_mwh, energy.basis) == (None if wh is None else mwh(wh), basis)
    assert " ".join(energy.doubts) == doubts


@pytest.mark.parametrize("name", VECTORS)
def test_the_points_of_a_session_rise_to_its_total(name):
    """From its start, with an energy of 0, to its stop; neither time nor energy runs back."""
    metering, *_ = VECTORS[name]
    energy = session_energy(metering)
    assert (energy.points[0].at, energy.points[0].mwh) == (metering.start.at, 0)
    assert energy.points[-1].mwh == (energy.total_mwh or 0)
    assert list(energy.points) == sorted(energy.points, key=lambda point: (point.at, point.mwh))


def test_a_contradiction_is_distinguished_from_a_lack():
    """A meter that contradicts itself is one thing, a register that is missing another."""
    contradicted = {name for name, (metering, *_) in VECTORS.items() if session_energy(metering).contradicted}
    assert "E16 reset on the way" in contradicted
    assert "E12 stuck, but power flowed" in contradicted
    assert "E13 no register at the stop" not in contradicted
    assert "E15 session register beside lifetime edges" not in contradicted
    assert "E17 another meter, lower" not in contradicted


def test_what_stop_and_start_differ_by_is_reported_beside_another_energy():
    """Both numbers are there to be compared."""
    energy = session_energy(session(1000, 1000, (10, 2000), (50, 6000)))
    assert (energy.total_mwh, energy.stop_minus_start_mwh) == (mwh(5000), 0)


def test_steps_have_the_quality_of_their_readings():
    """A gap after a reset brings nothing and says so; a time without a reading is missing."""
    energy = session_energy(session(1000, None, (10, 2000), (20, 100), (30, 600), (40, 900)))
    assert [(point.at, point.mwh, point.quality) for point in energy.points] == [
        (at(0), 0, Quality.MEASURED),
        (at(10), mwh(1000), Quality.MEASURED),
        (at(20), mwh(1000), Quality.CONTRADICTED),
        (at(30), mwh(1500), Quality.MEASURED),
        (at(40), mwh(1800), Quality.MEASURED),
        (at(120), mwh(1800), Quality.MISSING),
    ]


def test_times_of_receipt_are_used_only_where_there_are_no_others():
    """Samples without a usable time don't disturb those that have one; alone they are estimates."""
    untimed = samples((30, 2000), (40, 5000), timed=False)
    timed = samples((10, 1500), (20, 2000))
    alone = session_energy(evolve(session(1000, 6000), registers=untimed))
    both = session_energy(evolve(session(1000, 6000), registers=untimed + timed))
    assert (alone.total_mwh, both.total_mwh) == (mwh(5000), mwh(5000))
    assert [point.quality for point in alone.points[1:]] == [Quality.ESTIMATED] * 3
    assert [point.at for point in both.points] == [at(0), at(10), at(20), at(120)]


REGISTERS = st.lists(st.tuples(st.integers(-5, 130), st.integers(0, 60_000)), max_size=12)


@given(
    st.none() | st.integers(0, 50_000),
    st.none() | st.integers(0, 50_000),
    REGISTERS,
    st.randoms(use_true_random=False),
)
def test_order_and_repetition_of_samples_make_no_difference(start, stop, points, random):
    """Whatever the meter says, consistent or not: retries and reorderings don't change the bill."""
    orderly = session(start, stop, *sorted(points))
    shuffled = [*points, *random.choices(points, k=5)] if points else []
    random.shuffle(shuffled)
    assert session_energy(session(start, stop, *shuffled)) == session_energy(orderly)


@given(st.none() | st.integers(0, 50_000), st.none() | st.integers(0, 50_000), REGISTERS, st.booleans())
def test_the_energy_is_never_negative_and_never_more_than_the_registers_moved(start, stop, points, runs):
    """The curve rises, and what it rises by is no more than all rises of the registers together."""
    metering = running(start, *points) if runs else session(start, stop, *points)
    energy = session_energy(metering)
    assert list(energy.points) == sorted(energy.points, key=lambda point: (point.at, point.mwh))
    if energy.total_mwh is None:
        assert energy.basis is UNKNOWN
    else:
        assert energy.points[-1].mwh == energy.total_mwh >= 0


@given(st.integers(0, 10**9), st.lists(st.integers(0, 2000), min_size=1, max_size=30))
def test_a_meter_in_order_is_never_doubted(first, rises):
    """Readings that rise as a charger can make them, sampled every five minutes."""
    total = first
    points = []
    for number, rise in enumerate(rises, 1):
        total += rise
        points.append((5 * number, total))
    energy = session_energy(session(first, total, *points, minutes=5 * len(points) + 1))
    assert (energy.total_mwh, energy.basis, energy.doubts) == (mwh(total - first), STOP_MINUS_START, ())


def test_a_long_session_with_a_reset_every_hour_is_summed_up():
    """A month of a reading a minute: 720 segments, each of 59 steps of 50 Wh; the readings at the full hours are 0."""
    points = tuple((minute, 50 * (minute % 60)) for minute in range(1, 43_200))
    energy = session_energy(session(None, None, *points, minutes=43_200))
    assert energy.basis is SEGMENTS
    assert energy.total_mwh == mwh(58 * 50) + 719 * mwh(59 * 50)


def sessions_of_all_kinds() -> list[Metering]:
    """Two hundred sessions from a seed, in order or not: registers that fall, jump or are missing, or are of another
    kind."""
    rng = random.Random(11)

    def up_to(most: float) -> int:
        return int(rng.random() * most)  # the one method that gives the same with every version of Python

    made = []
    for _ in range(200):
        register, points = up_to(100_000), []
        start = register
        for minute in range(5, 115, 10):
            register += up_to(2000)
            odd = rng.random()
            if odd < 0.05:
                register = up_to(register)
            elif odd < 0.08:
                register += up_to(500_000)
            if odd < 0.9:
                points.append((minute, register - (start if odd < 0.02 else 0)))
        stop = register + up_to(2000) if rng.random() < 0.8 else start
        made.append(
            session(
                None if rng.random() < 0.1 else start,
                None if rng.random() < 0.1 else stop,
                *points,
                powers=powers(*((minute, up_to(11_000)) for minute in range(0, 120, 10))),
                intervals=intervals(*((minute, up_to(500)) for minute in range(15, 120, 15))),
                begins=samples((0, start + up_to(200))) if rng.random() < 0.5 else (),
            )
        )
    return made


def test_other_results_for_the_same_readings_need_another_version_of_the_rules():
    """The results of many sessions, as one digest. A change of it is a change of bills: raise RULES_VERSION, and say
    what changes in the changelog."""
    found = [session_energy(metering) for metering in sessions_of_all_kinds()]
    assert {energy.basis for energy in found} >= {STOP_MINUS_START, DELTAS, SEGMENTS}
    lines = [
        f"{energy.total_mwh} {energy.basis} {' '.join(energy.doubts)} "
        + " ".join(f"{point.at.isoformat()}:{point.mwh}:{point.quality}" for point in energy.points)
        for energy in found
    ]
    assert (RULES_VERSION, hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == (2, "2a61364c4428570f")
