"""The writes of charge points' keys: those that are provisioned, and those in the middle of their change."""

from collections.abc import Iterable

import attrs

from gateway.domain.key_answers import KeyAnswer
from gateway.domain.records import Credential, KeyStanding
from gateway.store import commits
from gateway.store.commits import Done, Missing
from gateway.store.encoding import maybe_micros, to_micros, to_time
from gateway.store.sqlite.selects import one
from gateway.store.sqlite.writer import Owner, Writer


def add_credential(writer: Writer, write: commits.AddCredential) -> Done | Missing:
    owner = writer.present(write.identity)
    if owner is None:
        return Missing()
    # Which one a charger goes on with is decided by their order: the newest is the newest, whatever the clock says.
    sql = "SELECT max(not_before) FROM credential WHERE charge_point = ?"
    (latest,) = one(writer.cx, sql, (owner.key,))
    credential = write.credential
    if latest is not None and to_micros(credential.not_before) <= latest:
        credential = attrs.evolve(credential, not_before=to_time(latest + 1))
    insert_credentials(writer, owner, (credential,))
    return Done()


def remove_credentials(writer: Writer, write: commits.RemoveCredentials) -> Done:
    owner = writer.owner(write.identity)
    if owner is not None:
        writer.cx.executemany(
            "DELETE FROM credential WHERE charge_point = ? AND credential_id = ?",
            [(owner.key, credential_id) for credential_id in write.credential_ids],
        )
    return Done()


def decide_key(writer: Writer, write: commits.DecideKey) -> Done:
    owner = writer.owner(write.identity)
    if owner is None:
        return Done()
    key, new = owner.key, write.credential_id
    match write.answer:
        case KeyAnswer.TAKEN:
            _settle_key(writer, key, new)
        case KeyAnswer.AFTER_BOOT:
            sql = "UPDATE credential SET standing = ? WHERE charge_point = ? AND credential_id = ?"
            writer.cx.execute(sql, (KeyStanding.AFTER_BOOT, key, new))
        case KeyAnswer.REFUSED:
            writer.cx.execute("DELETE FROM credential WHERE charge_point = ? AND credential_id = ?", (key, new))
    return Done()


def use_key(writer: Writer, write: commits.UseKey) -> Done:
    owner = writer.owner(write.identity)
    if owner is not None and _settle_key(writer, owner.key, write.credential_id):
        writer.cx.executemany(
            "DELETE FROM credential WHERE charge_point = ? AND credential_id = ? AND standing = ?",
            [(owner.key, each, KeyStanding.OFFERED) for each in write.passed_over],
        )
    return Done()


def _settle_key(writer: Writer, key: int, credential_id: str) -> bool:
    """Settle a key that the charger has, and take away those made before it. False: it is gone itself."""
    sql = "UPDATE credential SET standing = ? WHERE charge_point = ? AND credential_id = ?"
    writer.cx.execute(sql, (KeyStanding.SETTLED, key, credential_id))
    if not writer.cx.changes():
        return False
    writer.cx.execute(
        """DELETE FROM credential WHERE charge_point = ?1 AND not_before <
        (SELECT not_before FROM credential WHERE charge_point = ?1 AND credential_id = ?2)""",
        (key, credential_id),
    )
    return True


def insert_credentials(writer: Writer, owner: Owner, credentials: Iterable[Credential]) -> None:
    writer.cx.executemany(
        "INSERT OR REPLACE INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                owner.key,
                credential.credential_id,
                credential.kind,
                credential.salt,
                credential.verifier,
                to_micros(credential.not_before),
                maybe_micros(credential.not_after),
                credential.standing,
            )
            for credential in credentials
        ],
    )
