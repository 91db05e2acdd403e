"""Bounds and paces, written down a second time: a slip of a finger in one of them changes no single test's outcome.

Each has its reason where it is defined, and what exceeds it has a test of its own. A number is meant to change only
together with its line here.
"""

import ast
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gateway.app.from_settings import connection_limits, session_limits
from gateway.app.settings import SessionSettings
from gateway.session.limits import SessionLimits
from gateway.transport.limits import Limits
from tests.mutants.__main__ import GATEWAY

NUMBERS: dict[str, dict[str, Any]] = {
    "journal.journal": {
        "MAX_BATCH": 512,
        "MAX_WAITING": 32_768,
        "READERS": 8,
        "FIRST_PAUSE": 0.1,
        "LONGEST_PAUSE": 5.0,
        "COMMIT_DEADLINE": 10.0,
        "HEAR": 0.05,
    },
    "journal.thread": {"DONE_BYTES": 16},
    "journal.numbers": {"BLOCK": 100},
    "client.connection": {"MAX_RESPONSE_BYTES": 16 * 1024 * 1024, "READ_SECONDS": 10.0, "CHANGE_SECONDS": 60.0},
    "client.repeats": {"FIRST_PAUSE": 0.1, "LONGEST_PAUSE": 5.0, "ATTEMPTS": 6},
    "client.tokens": {"MAX_TOKEN_BYTES": 100},
    "client.trio_gateway": {"STREAMS": 1_000},
    "session.closing_pace": {"AT_ONCE": 200, "CLOSING_SHARE": 0.5},
    "session.router": {"HAND_OVER_SECONDS": 1.0, "ANSWER_SECONDS": 0.125},
    "session.commands.calls": {"MAX_LATE": 16, "MAX_OVERTAKEN": 4},
    "session.context": {"CLOSE_NORMAL": 1000, "CLOSE_GOING_AWAY": 1001, "CLOSE_POLICY": 1008, "CLOSE_INTERNAL": 1011},
    "session.start_expiry": {"LEAST_SLEEP": 1.0},
    "session.turns": {"ENDS_AT_ONCE": 16, "PAID_NODES": 500, "PAID_FAULTS": 8},
    "session.lookups": {"TAG_TRANSACTIONS_CONSIDERED": 20, "EDGE_READINGS": 3},
    "session.commands.provisioning": {
        "NO_ANSWER": "Error:NoAnswer",
        "MAX_ATTEMPTS": 4,
        "MAX_CONNECTORS_ASKED": 32,
        "MAX_COUNTED": 100_000,
    },
    "session.requests": {"MAX_DECISIONS": 4, "MAX_ASIDE": 4},
    "session.fault_log": {
        "LINES_AT_ONCE": 20,
        "SECONDS_A_LINE": 60.0,
        "ALL_AT_ONCE": 200,
        "ALL_SECONDS_A_LINE": 0.2,
        "MAX_KEPT": 4096,
    },
    "session.keepalive": {"LOOKS_AT_ONCE": 100, "MAX_LEFT": 1_000, "AFTER_FAILURE": 60.0, "TOGETHER": 0.25},
    "transport.epoll": {
        "EVENTS_AT_ONCE": 64,
        "ENDED_AT_ONCE": 8,
        "POLLS_AT_ONCE": 16,
        "LOOK_SECONDS": 0.008,
        "COMPANY_PER_SECOND": 100.0,
        "BUSY_PER_SECOND": 2_000.0,
        "COMPANY": 8,
        "MEASURED_SECONDS": 1.0,
        "PAUSE_SECONDS": 0.1,
    },
    "store.postgres.connection": {
        "CONNECT_SECONDS": 10.0,
        "HOST_SECONDS": 5.0,
        "MAX_PREPARED": 500,
        "MAX_TURNS": 1_000,
        "_READ": 1,
        "_WRITTEN": 5,
    },
    "store.postgres.patience": {"FIRST_PAUSE": 0.1, "LONGEST_PAUSE": 1.0, "LEAST_SECONDS": 2.0},
    "store.postgres.lane": {
        "SLOT": 1,
        "SLOT_LOCK": 0x4F43_5001,
        "LANE_LOCK": 0x4F43_5002,
        "SCHEMA_LOCK": 0x4F43_5003,
        "DATABASE_LOCK": 0x4F43_5007,
        "HOLD_SECONDS": 5.0,
        "PAUSE": 0.1,
    },
    "store.postgres.locks": {
        "POINT_LOCK": 0x4F43_5004,
        "TAG_LOCK": 0x4F43_5005,
        "FLEET_LOCK": 0x4F43_5006,
        "BUCKETS": 512,
    },
    "store.postgres.contraction": {"CONTRACTION_KEY": 4, "WAIT_SECONDS": 11.0, "_MIGRATIONS_KEY": 0},
    "store.postgres.generations": {"GENERATION_KEY": 2},
    "store.postgres.nodes": {"_SPAN": 65_535},
    "store.postgres.signing": {"WARNED": 1, "EXPIRED": 2},
    "store.postgres.books": {"MAX_REMEMBERED": 100_000, "MAX_REMEMBERED_TRANSACTIONS": 64},
    "store.postgres.writer": {"MAX_EVENTS": 65_536},
    "store.postgres.opened_state": {"AT_ONCE": 64},
    "store.postgres.writers": {"TRIES": 3, "TRIES_OF_NODE": 8},
    "store.postgres.store": {"PATIENCE_SECONDS": 20.0, "SETTLE_STEP": 200, "PROBE_BYTES": 65_536},
    "store.postgres.readers": {"READER_WAIT": 10.0, "TRIES": 11},
    "store.postgres.history": {"STRETCH": 20_000, "MAX_INDEXED": 16},
    "store.postgres.retention": {"STRETCH": 10_000},
    "store.postgres.partitions": {"AHEAD": 3, "NARROWEST": 1 << 36, "WIDEST": 1 << 44, "DAY": 86_400_000_000},
    "store.postgres.durability": {"OLDEST_SERVER": 130_000},
    "store.sqlite.writer": {"MAX_REMEMBERED": 100_000, "MAX_REMEMBERED_TRANSACTIONS": 64},
    "store.sqlite.integrity": {
        "CHECK_SECONDS": 0.4,
        "RECOVERY_CHECK_SECONDS": 10.0,
        "STEPS": 10_000,
        "LARGE": ("command", "txn", "event"),
    },
    "store.sqlite.checkpoints": {"CHECKPOINT_PAGES": 4_000},
    "store.sqlite.connections": {
        "BUSY_TIMEOUT": 5_000,
        "WRITER_CACHE": 65_536,
        "READER_CACHE": 4_096,
        "WAL_LIMIT": 67_108_864,
        "MAX_READERS": 8,
        "READER_WAIT": 10.0,
        "REWRITE_BYTES": 65_536,
    },
    "store.sqlite.event_queries": {
        "STRETCH": 20_000,
        "MAX_INDEXED": 16,
    },
    "store.sqlite.migrate": {"APPLICATION_ID": 0x4F43_5047},
    "store.limits": {
        "MAX_LIMIT": 1_000,
        "MAX_CONNECTORS": 256,
        "MAX_CONFIGURATION_KEYS": 1_000,
        "MAX_REQUESTS": 256,
        "AT_ONCE": 300_000_000,
        "PAGE_BYTES": 4_194_304,
        "NEWEST": 64,
        "NEWEST_VALUES": 16,
        "NEWEST_BYTES": 65_536,
        "MAX_NUMBER": 2_147_483_647,
        "CLEAR": 1_000_000,
    },
    "store.sqlite.backup": {"COPY_BYTES": 1_048_576},
    "store.sqlite.charger_certificates": {"WARNED": 1, "EXPIRED": 2},
    "store.sqlite.history": {"PAGE": 500, "ASTRAY": 100_000},
    "store.sqlite.recovery": {"CHUNK": 1_000},
    "store.sqlite.store": {"SETTLE_STEP": 200, "PROBE_BYTES": 65_536},
    "store.lists": {"SCANNED": 50_000},
    "store.nodes": {"SILENCE_SECONDS": 10.0, "MAX_SLOT": 1_000},
    "store.operation_rows": {"MAX_REPORTS": 1_000},
    "store.encoding": {"_MICROSECOND": timedelta(microseconds=1), "INT64_MIN": -(2**63), "INT64_MAX": 2**63 - 1},
    "ocpp.v16.profiles.core": {
        "MAX_CONNECTORS": 256,
        "MAX_SERIAL": 25,
        "OF_THE_WHOLE": {"Available", "Unavailable", "Faulted"},
    },
    "ocpp.v16.profiles.transactions": {
        "ACCEPTED": "Accepted",
        "CONCURRENT": "ConcurrentTx",
        "MAX_OPEN_TRANSACTIONS": 64,
        "NO_TRANSACTION": -1,
        "MAX_POWER": 500_000,
        "AT_ONCE": timedelta(seconds=10),
    },
    "ocpp.v16.profiles.security": {"SETTLE": timedelta(seconds=10)},
    "transport.client_authority": {"MAX_ISSUERS": 64, "MAX_DEPTH": 8},
    "chargers.certificate_status": {
        "ASK_SECONDS": 5.0,
        "PAUSE_SECONDS": 10.0,
        "AT_ONCE": 16,
        "MAX_KEPT": 50_000,
        "MAX_RESPONDERS": 64,
        "RECHECK_SECONDS": 60.0,
        "RETRY_AFTER_SECONDS": 30,
        "LOG_SECONDS": 60.0,
    },
    "chargers.slow_checks": {"AT_ONCE": 2, "AT_ONCE_OF_ONE": 1, "MAX_WAITING": 200},
    "transport.authentication": {"REALM": "ocpp", "MAX_SHOWN_PATH": 100},
    "chargers.admission": {
        "RETRY_AFTER_SECONDS": 30,
        "RETRY_AFTER_FULL_SECONDS": (60, 180),
        "RETRY_AFTER_CROWDED_SECONDS": (5, 15),
        "LOGGED_PER_SECOND": 5,
        "LOGGED_AT_ONCE": 50,
        "BASIC_AUTH_PROFILE": 2,
        "CERTIFICATE_PROFILE": 3,
    },
    "domain.operations": {"MAX_OPEN": 16},
    "charging.operations": {"POWER_WAIT": timedelta(minutes=5), "STOP_WAIT": timedelta(minutes=2)},
    "control.operations": {"LONGEST_SECONDS": 120.0},
    "session.certificates": {
        "MAX_TRIES": 3,
        "TRY_SECONDS": 120.0,
        "PAUSE_SECONDS": 30.0,
        "ANSWER_SECONDS": 1.0,
    },
    "session.security_operations": {"ANSWER_SECONDS": 1.0},
    "session.operations": {"ANSWER_SECONDS": 1.0, "MOST_CONNECTORS": 256},
    "domain.remote_starts": {
        "MAX_PENDING": 64,
        "DEFAULT_WINDOW": timedelta(seconds=120),
        "MAX_WINDOW": timedelta(hours=1),
        "SLACK": timedelta(seconds=60),
        "CLOCKS": timedelta(seconds=30),
        "RECONNECTED": timedelta(seconds=60),
    },
    "domain.credentials": {
        "GENERATED_KEY_BYTES": 20,
        "KEY_ALPHABET": "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz",
        "MIN_KEY_BYTES": 8,
        "MAX_KEY_BYTES": 40,
        "MAX_KEYS": 8,
        "MAX_PASSWORD_BYTES": 255,
        "REMEMBERED": 50_000,
        "_SALT_BYTES": 16,
        "_LOG2_N": 14,
        "_R": 8,
        "_P": 1,
        "_MAX_LOG2_N": 17,
        "_MAX_R": 8,
        "_MAX_P": 4,
        "_DIGEST_BYTES": 32,
        "_COUNTED": 1,
    },
    "journal.clock_watch": {
        "TOLERANCE": timedelta(seconds=300),
        "AWAY": timedelta(days=1),
        "STEADY": timedelta(days=1),
        "SAVE_EVERY": timedelta(seconds=600),
        "INTERVAL": 60.0,
        "UNKNOWN": -1,
        "NEVER": float("-inf"),
    },
    "journal.retention": {
        "STEP": 500,
        "PAUSE": 0.05,
        "INTERVAL": 60.0,
        "SWEEP_SPAN": timedelta(seconds=600),
        "SWEEP_STEPS": 200,
        "REQUEST_IDS": timedelta(days=7),
        "START_KEYS": timedelta(days=30),
        "MAX_OUTLIVED": 2_000_000,
    },
    "session.charging_timer": {"LONGEST": 300.0, "BUSY": 1.0},
    "session.reconciler": {
        "LEAST_SLEEP": 0.1,
        "MAX_SLEEP": 60.0,
        "SEND_SECONDS": 120.0,
        "HOLD": timedelta(seconds=30),
        "MAX_STEPS": 16,
    },
    "session.steering": {"MAX_TRIES": 4},
    "session.steering_pace": {"PER_SECOND": 400},
    "session.wishes": {"MAX_ROUNDS": 40, "PAUSE": 0.05},
    "store.api": {"KEPT_BODY_BYTES": 1024, "READS_AT_ONCE": 8},
    "store.clock_offsets": {"_MICROSECOND": timedelta(microseconds=1)},
    "store.sqlite.companion": {"SLOT": 512},
    "store.sqlite.process_lock": {"_NOTE_BYTES": 128},
    "store.postgres.server_look": {"LOOKED_AT": 20},
    "store.sqlite.retention": {"STRETCH": 10_000},
    "store.ages": {
        "TOLERANCE": 300_000_000,
        "EARLIEST": 1_577_836_800_000_000,
        "MARK_EVERY": timedelta(seconds=3600),
    },
    "store.rows": {"UNKNOWN_TRANSACTION": 0},
    "ocpp.v16.profiles.metering": {"MAX_TIMES": 500},
}


WHOLE = sorted(
    ".".join(file.relative_to(GATEWAY.root).with_suffix("").parts[1:])
    for file in GATEWAY.files()
    if file.name != "__init__.py"
)
"""Modules of which every number is here: those that ``make mutants`` puts faults into."""


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NUMBERS.items() for name in names])
def test_a_number_is_what_it_was_written_down_as(module: str, name: str) -> None:
    """Here and there."""
    assert getattr(import_module(f"gateway.{module}"), name) == NUMBERS[module][name]


@pytest.mark.parametrize("module", WHOLE)
def test_every_number_of_these_modules_is_written_down(module: str) -> None:
    """A new one gets its line, so that a slip in it is noticed."""
    values = vars(import_module(f"gateway.{module}"))
    tree = ast.parse(Path(str(values["__file__"])).read_text(encoding="utf-8"))
    assigned = [each for each in tree.body if isinstance(each, ast.Assign | ast.AnnAssign)]
    targets = [
        each for part in assigned for each in ([part.target] if isinstance(part, ast.AnnAssign) else part.targets)
    ]
    names = {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
    numbers = {name for name in names if type(values.get(name)) in (int, float, timedelta)}
    assert numbers <= NUMBERS.get(module, {}).keys()


def test_what_a_session_or_a_connection_is_limited_by_unless_set_is_the_settings_default() -> None:
    """Two places have defaults, for code that builds them itself; they agree."""
    assert session_limits(SessionSettings()) == SessionLimits()
    assert connection_limits(SessionSettings()) == Limits()
