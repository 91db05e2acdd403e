"""The writes of charge points' keys: those that are provisioned, and those in the middle of their change."""

from collections.abc import Iterable
from typing import Final

import attrs

from gateway.domain.key_answers import KeyAnswer
from gateway.domain.records import Credential, KeyStanding
from gateway.store import commits
from gateway.store.commits import Done, Missing
from gateway.store.encoding import maybe_micros, to_micros, to_time
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import upsert
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.writer import Writer

CREDENTIAL: Final = upsert(
    "credential",
    ("charge_point", "credential_id"),
    """charge_point int4, credential_id text, kind text, salt bytea, verifier bytea, not_before int8, not_after int8,
    standing text""",
)


def add_credential(writer: Writer, write: commits.AddCredential) -> Done | Missing:
    owner = writer.present(write.identity)
    if owner is None:
        return Missing()
    # Which one a charger goes on with is decided by their order: the newest is the newest, whatever the clock says.
    (latest,) = writer.one("SELECT max(not_before) FROM credential WHERE charge_point = $1", owner.key)
    credential = write.credential
    if latest is not None and to_micros(credential.not_before) <= latest:
        credential = attrs.evolve(credential, not_before=to_time(latest + 1))
    insert_credentials(writer, owner, (credential,))
    return Done()


def remove_credentials(writer: Writer, write: commits.RemoveCredentials) -> Done:
    owner = writer.owner(write.identity)
    if owner is not None:
        writer.send(
            "DELETE FROM credential WHERE charge_point = $1 AND credential_id = ANY ($2)",
            owner.key,
            Array("text", list(write.credential_ids)),
        )
    return Done()


def decide_key(writer: Writer, write: commits.DecideKey) -> Done:
    owner = writer.owner(write.identity)
    if owner is None:
        return Done()
    new = write.credential_id
    match write.answer:
        case KeyAnswer.TAKEN:
            _settle_key(writer, owner.key, new)
        case KeyAnswer.AFTER_BOOT:
            writer.send(_STAND, KeyStanding.AFTER_BOOT, owner.key, new)
        case KeyAnswer.REFUSED:
            writer.send("DELETE FROM credential WHERE charge_point = $1 AND credential_id = $2", owner.key, new)
    return Done()


_STAND: Final = "UPDATE credential SET standing = $1 WHERE charge_point = $2 AND credential_id = $3"


def use_key(writer: Writer, write: commits.UseKey) -> Done:
    owner = writer.owner(write.identity)
    if owner is not None and _settle_key(writer, owner.key, write.credential_id):
        writer.send(
            "DELETE FROM credential WHERE charge_point = $1 AND credential_id = ANY ($2) AND standing = $3",
            owner.key,
            Array("text", list(write.passed_over)),
            KeyStanding.OFFERED,
        )
    return Done()


def _settle_key(writer: Writer, key: int, credential_id: str) -> bool:
    """Settle a key that the charger has, and take away those made before it. False: it is gone itself."""
    if not writer.run(_STAND, KeyStanding.SETTLED, key, credential_id):
        return False
    writer.send(
        """DELETE FROM credential WHERE charge_point = $1 AND not_before <
        (SELECT not_before FROM credential WHERE charge_point = $1 AND credential_id = $2)""",
        key,
        credential_id,
    )
    return True


def insert_credentials(writer: Writer, owner: Owner, credentials: Iterable[Credential]) -> None:
    """Of several with one id the last one stays."""
    by_id = {each.credential_id: each for each in credentials}
    writer.changes.extend(
        CREDENTIAL,
        [
            (
                owner.key,
                each.credential_id,
                each.kind,
                each.salt,
                each.verifier,
                to_micros(each.not_before),
                maybe_micros(each.not_after),
                each.standing,
            )
            for each in by_id.values()
        ],
    )
