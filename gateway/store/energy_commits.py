"""The write that records the energy of a transaction."""

from attrs import frozen

from gateway.domain.events import NewEvent


@frozen
class SettleEnergy:
    """Records the energy of a transaction that has ended as worked out with its events up to ``position``. ``changed``:
    the event of type ``transaction.energy_changed`` that says so; None: it is as it was recorded.

    Answers ``Appended``, without sequences where there is no event; ``GuardFailed`` where something has come since, it
    is open, or ``revision`` is not the recorded one; ``Missing`` where the charge point has no such transaction."""

    charge_point: str
    transaction_id: str
    position: int
    revision: int
    changed: NewEvent | None
