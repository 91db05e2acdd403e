"""Changing the key by which a charger authenticates, by a command (S §5.3, WP A01).

Whatever happens between sending the key and hearing about it, the charger must be able to come back: the new key is
admitted before the CALL goes out, and which key stays is decided by the charger's answer (A01.FR.03, FR.04) or, where
none came, by the key it connects with next (A7.8; ``gateway.chargers.admission``).
"""

import trio
from attrs import evolve

from gateway.domain.answers import verdict
from gateway.domain.commands import Answer, ChargerError
from gateway.domain.credentials import MAX_KEYS, id_for_command, make_credential
from gateway.domain.records import Credential, CredentialKind, KeyStanding
from gateway.session.context import SessionContext
from gateway.store.commits import AddCredential, DecideKey, RemoveCredentials


class KeyRotation:
    """One change of key, from before it is sent until it is decided."""

    def __init__(self, context: SessionContext, credential: Credential) -> None:
        self._context = context
        self._credential = credential
        self._new = credential.credential_id

    @classmethod
    async def begin(
        cls, key: bytes, kind: CredentialKind, command_id: str, context: SessionContext
    ) -> "KeyRotation | None":
        """Prepare the new key, and admit nothing yet. None: too many may be in use already."""
        present = await context.read(context.reads.credentials(context.identity))
        if len(present) >= MAX_KEYS:
            return None
        if kind is CredentialKind.GENERATED:
            made = make_credential(key, kind, context.clock())
        else:  # its strength is unknown, so it gets the slow hash, in a thread
            made = await trio.to_thread.run_sync(make_credential, key, kind, context.clock())
        credential = evolve(made, credential_id=id_for_command(command_id), standing=KeyStanding.OFFERED)
        return cls(context, credential)

    async def admit(self) -> None:
        """Admit the new key beside the present ones; ``withdraw`` if it is not sent after all, or if this fails."""
        await self._context.write(AddCredential(self._context.identity, self._credential))

    async def withdraw(self) -> None:
        """The new key was never sent: it opens nothing. Where the store can't be written, it takes the key away itself
        when it records that the command was not sent, at the next start at the latest."""
        await self._context.write(RemoveCredentials(self._context.identity, (self._new,)))

    async def decided(self, answer: Answer | ChargerError) -> None:
        """Admit from now on the keys that the charger may use by its own word."""
        _, word = verdict(answer)
        meaning = self._context.protocol.own_requests.answer_in(word)
        await self._context.write(DecideKey(self._context.identity, self._new, meaning))
