"""The work of a gateway that does not serve: checks what its settings point to, and takes over a restored database."""

import errno
import os
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from gateway.app.certificate_watch import EXPIRY_WARNING
from gateway.app.from_settings import authority_fault, jwt_keys, tls_files
from gateway.app.nats_servers import NO_LIBRARY as NO_NATS_LIBRARY
from gateway.app.nats_servers import nats_address
from gateway.app.process_share import NO_NODE
from gateway.app.settings import ControlSettings, ListenerSettings, Settings
from gateway.app.settings.cluster import ClusterSettings
from gateway.app.settings.expectations import Place
from gateway.app.stores import NO_LIBRARY, new_store, password
from gateway.domain.audit import OFFLINE_CALLER
from gateway.domain.callers import MAX_CALLERS, Caller, Role, faults, new_token, token_digest
from gateway.errors import SettingsError, StoreError
from gateway.store.commits import AddCaller, Done
from gateway.store.limits import CLEAR
from gateway.store.sqlite.generations import Recovered, recover
from gateway.transport.certificate_files import (
    CertificateFiles,
    CertificatePair,
    TlsConfigurationError,
    Unusable,
    read_pair,
)
from gateway.transport.client_authority import read_authority
from gateway.transport.tls import read_material


@frozen
class Finding:
    """Something about a setting. ``fatal``: the gateway could not serve."""

    key: str
    text: str
    fatal: bool = True


def check(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """All that is wrong, or soon will be, with what the settings point to. Reads files; changes nothing."""
    moment = now or datetime.now(UTC)
    findings: list[Finding] = []
    for index, listener in enumerate(settings.listeners):
        findings += _listener(f"listeners[{index}]", listener, moment)
    findings += _control(settings.control, moment)
    findings += _places(settings)
    findings += _store(settings)
    findings += _cluster(settings.cluster)
    return findings


def _cluster(cluster: ClusterSettings) -> Iterator[Finding]:
    """Look at the NATS servers: each is reached, lets this gateway in, and is spoken to by TLS over a network."""
    if not cluster.nats:
        return
    if not cluster.node:
        setting, _, why = NO_NODE.partition(": ")
        yield Finding(setting, why, fatal=False)
    for each in cluster.unencrypted():
        text = f"{each} is not encrypted: commands go through it, keys among them; use tls://"
        yield Finding("cluster.nats", text, fatal=False)
    if cluster.nats_token_file is not None:
        yield from _openness("cluster.nats_token_file", cluster.nats_token_file)
    try:
        from gateway.bridge.nats_checks import faults

        found = faults(nats_address(cluster))
    except ImportError:
        yield Finding("cluster.node", NO_NATS_LIBRARY.removeprefix("cluster.node: "))
        return
    except SettingsError as error:
        setting, _, why = str(error).partition(": ")
        yield Finding(setting, why)
        return
    none = len(found) == len(cluster.nats)
    for fault in found:
        yield Finding("cluster.nats", f"{fault.server}: {fault.reason}", fatal=none or fault.lasts)


def _listener(key: str, listener: ListenerSettings, now: datetime) -> Iterator[Finding]:
    files = tls_files(listener)
    try:
        read_material(files).context()
    except TlsConfigurationError as error:
        for fault in error.faults:
            yield Finding(f"{key}.{fault.place}", fault.reason)
    kinds = set()
    for index, each in enumerate(files.certificates):
        try:
            pair = read_pair(each)
            kinds.add(pair.kind)
        except (TlsConfigurationError, Unusable):  # listed above
            continue
        yield from _validity(f"{key}.certificates[{index}].certificate", pair, now)
        yield from _openness(f"{key}.certificates[{index}].key", each.key)
    if files.client_authority is not None:
        try:
            clients = read_authority(files.client_authority, files.client_crl, accepts_stale=files.accepts_stale_crl)
        except TlsConfigurationError:  # listed above
            pass
        else:
            for fault in clients.validity(now):
                yield Finding(f"{key}.{fault.place}", fault.reason)
    if len(kinds) == 1 and len(files.certificates) == 1:
        [missing] = {"ECDSA", "RSA"} - kinds
        reason = f"no {missing} certificate: chargers that know no other kind can't connect"
        yield Finding(f"{key}.certificates", reason, fatal=False)


def _control(control: ControlSettings, now: datetime) -> Iterator[Finding]:
    try:
        jwt_keys(control.jwt)
    except SettingsError as error:
        setting, _, why = str(error).partition(": ")
        yield Finding(setting, why)
    if control.certificate is None or control.key is None:
        return
    try:
        pair = read_pair(CertificateFiles(control.certificate, control.key))
    except TlsConfigurationError as error:
        for fault in error.faults:
            yield Finding(f"control.{fault.place}", fault.reason)
    else:
        yield from _validity("control.certificate", pair, now)
        yield from _openness("control.key", control.key)
    if control.client_ca is not None:
        reason = authority_fault(control.client_ca)
        if reason is not None:
            yield Finding("control.client_ca", reason)


def _places(settings: Settings) -> Iterator[Finding]:
    """Hosts that nothing can listen on here, and names that stand for an address which is listened on already.

    A port that is in use is no finding: the gateway that runs has it.
    """
    resolved: list[tuple[Place, list[Place]]] = []
    for place in settings.places():
        try:
            infos = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:  # the latter of a label that no name can have
            reason = error.strerror if isinstance(error, OSError) else "no name of a host"
            yield Finding(place.key, f"the host {place.host} can't be resolved: {reason}")
            continue
        reasons = [_why_not_bound(info) for info in infos]
        if None not in reasons:
            yield Finding(place.key, f"can't listen on {place}: {reasons[0]}")
        mine = [evolve(place, host=str(info[4][0])) for info in infos]
        for other, others in resolved:
            written = place.clashes(other)  # then it was found when the settings were read
            if not written and any(one.clashes(two) for one in mine for two in others):
                text = f"{place} is taken by {other.key} ({other}): only one of them can listen there"
                yield Finding(place.key, text)
                break
        resolved.append((place, mine))


def _why_not_bound(info: tuple[Any, ...]) -> str | None:
    """Return the reason why the address can't be bound; None if it can, or is bound already."""
    family, kind, protocol, _, address = info
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        if error.errno == errno.EADDRNOTAVAIL:
            return "it is no address of this machine"
        return error.strerror or str(error)
    return None


SQLITE_START = b"SQLite format 3\0"


def _server(settings: Settings) -> Iterator[Finding]:
    """Look at the database on PostgreSQL: reached, of a version that is known, and keeping what it is given."""
    store = settings.store
    if store.password_file is not None:
        yield from _openness("store.password_file", store.password_file)
    try:
        from gateway.store.postgres import Durability, faults

        for each in faults(store.url, password(store), Durability(store.durability), settings.cluster.node):
            yield Finding("store.url", each)
    except ImportError:
        yield Finding("store.url", NO_LIBRARY.removeprefix("store.url: "))
    except SettingsError as error:
        yield Finding("store.password_file", str(error).removeprefix("store.password_file: "))


def _store(settings: Settings) -> Iterator[Finding]:
    if settings.store.url:
        yield from _server(settings)
        return
    path, key = settings.store.path, "store.path"
    folder = path.parent
    if not folder.is_dir():
        yield Finding(key, f"{folder}: {'is no folder' if folder.exists() else 'no such folder'}")
    elif path.is_dir():
        yield Finding(key, f"{path}: is a folder")
    elif path.exists() and not path.is_file():
        yield Finding(key, f"{path}: is no file")
    elif not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
        yield Finding(key, f"{path}: this user can't write there")
    elif path.exists():
        try:
            with path.open("rb") as file:
                start = file.read(len(SQLITE_START))
        except OSError as error:
            yield Finding(key, f"{path}: {_why(error)}")
            return
        if start not in (b"", SQLITE_START):
            yield Finding(key, f"{path}: is no database")
        yield from _openness(key, path)


def _openness(key: str, path: Path) -> Iterator[Finding]:
    """A warning of a secret that others on the machine can read. No error: containers mount secrets like that."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        yield Finding(key, f"{path}: other users of this machine can read it (chmod 600)", fatal=False)


def _validity(key: str, pair: CertificatePair, now: datetime) -> Iterator[Finding]:
    """Check a certificate as a reload does; its near end is a warning."""
    faults = tuple(pair.validity(now))
    for fault in faults:
        yield Finding(key, fault.reason)
    if not faults and pair.expires <= now + EXPIRY_WARNING:
        yield Finding(key, f"{pair.files.certificate}: expires on {pair.expires:%Y-%m-%d}", fatal=False)


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def recover_store(settings: Settings, *, snapshot: bool, with_log: bool) -> Recovered | None:
    """Make the database of these settings, which was restored or copied, safe to serve; None: it is the one that was
    last served here. Raises ``StoreError`` with the reason."""
    if not settings.store.url:
        return recover(settings.store.path, snapshot=snapshot, with_log=with_log)
    for option, given in (("--snapshot", snapshot), ("--with-log", with_log)):
        if given:
            raise StoreError(f"store.url: the database is on PostgreSQL, and {option} is for one in a file")
    from gateway.store import postgres

    renewed = postgres.recover(settings.store.url, password(settings.store))
    return Recovered("", renewed.old_id, renewed.store_id, renewed.next_number)


def add_caller(
    settings: Settings, name: str, roles: Sequence[str], certificate_name: str, scope: Mapping[str, str]
) -> str:
    """Make a caller of the control interface known in the database of a gateway that does not run; its token, empty for
    one with a certificate. ``roles`` by the names of ``Role``. Raises ``StoreError``, and ``SettingsError`` for what
    can't be a caller."""
    kept = tuple(each for each in Role if each.name in roles)
    wrong = faults(name, kept, certificate_name, scope)
    if wrong:
        raise SettingsError("; ".join(f"{where}: {description}" for where, description in wrong))
    token = "" if certificate_name else new_token()
    digest = token_digest(token) or b""
    store = new_store(settings, lambda: datetime.now(UTC))
    try:
        [result] = store.commit(
            [AddCaller(Caller(name, kept, datetime.now(UTC), digest, certificate_name, scope), OFFLINE_CALLER)]
        )
    finally:
        store.close()
    if not isinstance(result, Done):
        raise SettingsError(
            f"there is a caller {name}, or one with that certificate name, already, or there are "
            f"{MAX_CALLERS:,}, which is the most"
        )
    return token


def describe(recovered: Recovered) -> list[str]:
    """Lines for an operator about what was done."""
    return [
        f"store id: {recovered.old_id} -> {recovered.store_id} (resume tokens of before are refused, event ids differ)",
        f"transaction numbers: from {recovered.next_number} on",
        f"epochs: {CLEAR} further for every charge point",
    ]
