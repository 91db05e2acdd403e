"""Callers, as administrators deal with them (Trio's side)."""

from attrs import field, frozen

from gateway.control.errors import Failure, Status, invalid, not_found
from gateway.control.ports import Journal
from gateway.domain.audit import DoneBy
from gateway.domain.callers import MAX_CALLERS, Caller, Role, faults, new_token, token_digest
from gateway.domain.commands import FieldViolation
from gateway.domain.labels import Labels
from gateway.domain.values import Clock
from gateway.store.commits import AddCaller, Exists, GuardFailed, Missing, RemoveCaller
from gateway.store.reads import Reads


@frozen
class Made:
    """A caller that was made known. ``token`` is shown this once; empty for one with a certificate."""

    caller: Caller
    token: str = field(default="", repr=False)


class CallerControl:
    """All methods raise ``Failure`` and ``StoreUnavailable``. Cancelling one that changes something leaves open
    whether it happened."""

    def __init__(self, journal: Journal, reads: Reads, clock: Clock) -> None:
        self._journal = journal
        self._reads = reads
        self._clock = clock

    async def create(
        self, name: str, roles: tuple[Role, ...], certificate_name: str, scope: Labels, by: str = ""
    ) -> Made:
        """Make a caller known: by the name in its certificate, else by a token. ``by``: the caller that asks."""
        found = faults(name, roles, certificate_name, scope)
        if found:
            raise invalid(*(FieldViolation(f"caller.{where}", description) for where, description in found))
        token = "" if certificate_name else new_token()
        digest = token_digest(token) if token else None
        caller = Caller(name, roles, self._clock(), digest or b"", certificate_name, scope)
        match await self._journal.commit(AddCaller(caller, by)):
            case Exists(identities=("name",)):
                raise _taken("caller", name)
            case Exists():
                raise _taken("certificate_name", certificate_name)
            case GuardFailed():
                text = f"there are {MAX_CALLERS:,} callers, which is the most"
                raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLERS", text)
        return Made(caller, token)

    async def all(self) -> list[Caller]:
        """All callers, by name."""
        return await self._reads.callers()

    async def revoke(self, name: str, by: str = "") -> None:
        """Remove a caller. ``by``: the caller that asks."""
        if isinstance(await self._journal.commit(RemoveCaller(name, DoneBy(by, self._clock()))), Missing):
            raise not_found("caller", name)


def _taken(key: str, value: str) -> Failure:
    what = "there is a caller" if key == "caller" else "there is a caller with the certificate name"
    return Failure(Status.ALREADY_EXISTS, "CALLER_EXISTS", f"{what} {value} already", {key: value})
