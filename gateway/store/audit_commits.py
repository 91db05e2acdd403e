"""The writes that are for the audit alone."""

from datetime import datetime

from attrs import frozen

from gateway.domain.audit import RefusedCall


@frozen
class RecordRefusal:
    """Notes in the audit that a call was refused. Answers ``Done``."""

    call: RefusedCall


@frozen
class RecordAction:
    """Notes in the audit what a caller did that leaves no other record. Answers ``Done``. ``charge_point`` empty: none;
    ``detail``: what of it, in a word or two."""

    caller: str
    action: str
    at: datetime
    charge_point: str = ""
    detail: str = ""
