"""Changing the key by which a charger authenticates, by a command (S §5.3, WP A01).

Whatever happens between sending the key and hearing about it, the charger must be able to come back: the new key is
admitted before the CALL goes out, and which key stays is decided by the charger's answer (A01.FR.03, FR.04) or, where
none came, by the key it connects with next (A7.8; ``gateway.chargers.admission``).
"""

import trio
from attrs import evolve

from gateway.domain.commands import Answer, ChargerError, StatusAnswer
from gateway.domain.credentials import id_for_command, make_credential
from gateway.domain.records import Credential, CredentialKind
from gateway.session.context import SessionContext
from gateway.store.commits import AddCredential, RemoveCredentials


class KeyRotation:
    """One change of key, from before it is sent until it is decided."""

    def __init__(self, context: SessionContext, credential: Credential, present: tuple[str, ...]) -> None:
        self._context = context
        self._credential = credential
        self._new = credential.credential_id
        self._present = present

    @classmethod
    async def begin(cls, key: bytes, command_id: str, context: SessionContext) -> "KeyRotation":
        """Prepare the new key, and admit nothing yet."""
        # Its strength is unknown, so it gets the slow hash, in a thread.
        made = await trio.to_thread.run_sync(make_credential, key, CredentialKind.IMPORTED, context.clock())
        credential = evolve(made, credential_id=id_for_command(command_id))
        present = await context.read(context.reads.credentials(context.identity))
        return cls(context, credential, tuple(each.credential_id for each in present))

    async def admit(self) -> None:
        """Admit the new key beside the present ones; ``withdraw`` if it is not sent after all, or if this fails."""
        await self._context.write(AddCredential(self._context.identity, self._credential))

    async def withdraw(self) -> None:
        """The new key was never sent: it opens nothing. Where the store can't be written, it takes the key away itself
        when it records that the command was not sent, at the next start at the latest."""
        await self._context.write(RemoveCredentials(self._context.identity, (self._new,)))

    async def decided(self, answer: Answer | ChargerError) -> None:
        """Admit from now on only the key that the charger uses by its own word."""
        taken = isinstance(answer, StatusAnswer) and answer.status in self._context.protocol.own_requests.taken
        gone = self._present if taken else (self._new,)
        await self._context.write(RemoveCredentials(self._context.identity, gone))
