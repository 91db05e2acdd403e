"""Sessions for tests of energy, in minutes and watt-hours."""

from datetime import UTC, datetime, timedelta

from gateway.domain.metering import Edge, IntervalSample, Metering, PowerSample, RegisterSample

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def mwh(wh: float) -> int:
    return round(wh * 1000)


def samples(*points: tuple[float, float], place: str = "Outlet", timed: bool = True) -> tuple[RegisterSample, ...]:
    """(minutes, Wh) of register samples."""
    return tuple(RegisterSample(mwh(wh), at(minutes), timed, place) for minutes, wh in points)


def intervals(*points: tuple[float, float], context: str = "Sample.Periodic") -> tuple[IntervalSample, ...]:
    """(minutes, Wh) of energies of intervals."""
    return tuple(IntervalSample(mwh(wh), at(minutes), context) for minutes, wh in points)


def powers(*points: tuple[float, float]) -> tuple[PowerSample, ...]:
    """(minutes, W) of samples of power."""
    return tuple(PowerSample(watts, at(minutes)) for minutes, watts in points)


def session(
    start: float | None, stop: float | None, *points: tuple[float, float], minutes: float = 120, **more
) -> Metering:
    """A session of two hours with registers at its start and stop, and samples between, in Wh."""
    return Metering(
        Edge(at(0), None if start is None else mwh(start)),
        Edge(at(minutes), None if stop is None else mwh(stop)),
        samples(*points),
        **more,
    )


def running(start: float | None, *points: tuple[float, float], **more) -> Metering:
    """A session that has not stopped yet."""
    return Metering(Edge(at(0), None if start is None else mwh(start)), None, samples(*points), **more)
