"""The settings of the gateway itself: control interface, store, logs, metrics, drain; and all of them together.

Fields, defaults and ``problems`` are as in ``gateway.app.settings.chargers``.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from gateway.app.settings.chargers import (
    BOOT_CONFIGURATION,
    AuthorizationSettings,
    BootConfigurationSetting,
    QuirkSettings,
    SessionSettings,
)
from gateway.app.settings.cluster import ClusterSettings
from gateway.app.settings.control import ControlSettings, HttpSettings
from gateway.app.settings.expectations import (
    OFF,
    Place,
    Problems,
    about,
    address,
    at_most,
    filled,
    number,
    one_of,
    parse_address,
    twice,
    url,
    whole,
)
from gateway.app.settings.listeners import ListenerSettings


@frozen
class RetentionSettings:
    """Retention of events. What an open transaction needs stays. Whichever limit is met first counts."""

    max_age_days: float = field(
        default=90.0,
        metadata=about(
            "A quarter covers a billing period and the disputes about it; 0: no limit.", number(0, 36500, "days")
        ),
    )
    max_bytes: int = field(
        default=50_000_000_000,
        metadata=about(
            "What the store may take on disk. 18,000 chargers that report each minute make about 10 GB a day; "
            "0: no limit.",
            whole(0, 2**60, "bytes"),
        ),
    )

    def problems(self) -> Problems:
        """A limit below what an empty database takes would delete everything at once."""
        if 0 < self.max_bytes < MIN_MAX_BYTES:
            yield "max_bytes", f"expected 0 (no limit) or at least {MIN_MAX_BYTES}, found {self.max_bytes}"


MIN_MAX_BYTES = 10_000_000
"""An empty database with its write-ahead log takes up to 5 MB."""


@frozen
class StoreSettings:
    """The database: one file and its write-ahead log, or a database on PostgreSQL (docs/store.md)."""

    path: Path = field(
        default=Path("gateway.db"),
        metadata=about("On a local disk: SQLite's locks do not hold on network file systems."),
    )
    url: str = field(
        default="",
        repr=False,
        metadata=about(
            "A database on PostgreSQL in the place of the file, by libpq's URL. Without a password in it libpq takes "
            "that of PGPASSWORD or ~/.pgpass.",
            example="postgresql://gateway@db1,db2/gateway?target_session_attrs=read-write",
        ),
    )
    password_file: Path | None = field(
        default=None,
        metadata=about("A file that holds the password for url, and nothing else.", example="secrets/postgresql"),
    )
    durability: Literal["replicated", "local"] = field(
        default="replicated",
        metadata=about(
            "Of PostgreSQL: a commit is acknowledged once a standby has it as well. With local the loss of one machine "
            "takes along what was acknowledged.",
            one_of("replicated", "local"),
        ),
    )
    commit_deadline_seconds: float = field(
        default=5.0,
        metadata=about(
            "A commit that takes longer counts as failed: nothing is acknowledged, sessions are closed and chargers "
            "keep what they have. Slow cloud volumes sync in 10 ms; seconds mean that something is wrong.",
            number(0.1, 60, "seconds"),
        ),
    )
    patience_seconds: float = field(
        default=20.0,
        metadata=about(
            "Of PostgreSQL: commits wait so long for a server that restarts or fails over, and no session is closed. "
            "Less than the 30 seconds for which chargers wait for an answer.",
            number(1, 60, "seconds"),
        ),
    )
    linger_milliseconds: float = field(
        default=0.0,
        metadata=about(
            "Transactions begin so far apart at least, and what comes meanwhile shares one; after a quiet time nothing "
            "waits. For a PostgreSQL that many gateways write to (docs/store.md); a file gains nothing by it.",
            number(0, 10, "milliseconds"),
        ),
    )
    upgrade_copy: bool = field(
        default=True,
        metadata=about(
            "Keep a copy of the database beside it before a new version changes its schema, to go back to with the "
            "version before. It takes as much room as the database. Off where a backup is made first."
        ),
    )
    retention: RetentionSettings = field(factory=RetentionSettings)

    def problems(self) -> Problems:
        """A URL that is none, and a setting of PostgreSQL without one."""
        if self.url and not self.url.startswith(URL_SCHEMES):
            yield "url", f"expected {' or '.join(URL_SCHEMES)} and what follows it"
        if self.password_file is not None and not self.url:
            yield "password_file", "expected with url only"


URL_SCHEMES = ("postgresql://", "postgres://")
"""Libpq's own."""


@frozen
class LoggingSettings:
    """Logs go to standard error, one line each."""

    level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=about(
            "Info has a line per connection and command, none per message.",
            one_of("debug", "info", "warning", "error"),
        ),
    )
    format: Literal["json", "console"] = field(
        default="json",
        metadata=about('"json" for machines, "console" for people.', one_of("json", "console")),
    )


@frozen
class MetricsSettings:
    """Prometheus metrics over HTTP."""

    address: str = field(
        default="127.0.0.1:9464",
        metadata=about('Loopback by default; "off" for none.', address(may_be_off=True)),
    )

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The address's parts, None: off."""
        return None if self.address == OFF else parse_address(self.address)


@frozen
class TracingSettings:
    """Traces of RPCs and commands, by OpenTelemetry (pip install 'gateway[traces]')."""

    endpoint: str | None = field(
        default=None,
        metadata=about(
            "The collector that takes OTLP over gRPC; https:// for TLS. Without it nothing is traced. What it takes "
            "besides, e.g. a token, is read from OTEL_EXPORTER_OTLP_HEADERS.",
            url(),
            example="http://127.0.0.1:4317",
        ),
    )
    authority: Path | None = field(
        default=None,
        metadata=about(
            "The CA of the collector's certificate in PEM; without it the system's.", example="certs/collector-ca.pem"
        ),
    )
    sample_ratio: float = field(
        default=1.0,
        metadata=about(
            "How many of the traces are kept that no caller has begun; a caller's own decision counts for its traces.",
            number(0, 1),
        ),
    )

    def problems(self) -> Problems:
        """Return the faults between fields, and the packages that are missing."""
        if self.endpoint is None:
            return
        if self.authority is not None and not self.endpoint.startswith("https://"):
            yield "authority", "is of no use without TLS: tracing.endpoint has to begin with https://"
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
            yield "endpoint", "needs packages that are not installed: pip install 'gateway[traces]'"


@frozen
class CertificateSettings:
    """Chargers' own certificates: their requests for new ones, and their expiry."""

    signing_hours: float = field(
        default=24.0,
        metadata=about(
            "From a charger's request for a certificate until it is given up, signed or not: an authority may need a "
            "person, and a charger may be away for a night. The charger can ask again.",
            number(0.01, 720, "hours"),
        ),
    )
    warning_days: int = field(
        default=30,
        metadata=about(
            "An event says so when a charger's certificate ends within so many days, and again when it has ended.",
            whole(1, 365),
        ),
    )


@frozen
class DrainSettings:
    """The drain on SIGTERM: no new connections, what is in flight finishes, sessions are closed, exit 0."""

    deadline_seconds: float = field(
        default=25.0,
        metadata=about(
            "For all of it; then the rest is cut off. Below the 30 seconds that orchestrators give before they kill.",
            number(0, 3600, "seconds"),
        ),
    )
    closes_per_second: float = field(
        default=1_000.0,
        metadata=about(
            "How fast sessions are closed: every close brings a reconnect to the next gateway, whose TLS handshakes "
            "cost a millisecond of a core each. Those without a transaction come first.",
            number(1, 100_000),
        ),
    )
    jitter: float = field(
        default=0.5,
        metadata=about(
            "By how much of the time between two closes each comes later at most: chargers that are closed at an even "
            "pace come back at one.",
            number(0, 1),
        ),
    )


@frozen
class Settings:
    """Everything that can be set."""

    listeners: tuple[ListenerSettings, ...] = field(
        metadata=about("Where chargers connect.", filled("[[listeners]] tables", 32))
    )
    control: ControlSettings = field(factory=ControlSettings)
    http: HttpSettings = field(factory=HttpSettings)
    store: StoreSettings = field(factory=StoreSettings)
    sessions: SessionSettings = field(factory=SessionSettings)
    quirks: tuple[QuirkSettings, ...] = field(
        default=(),
        metadata=about("", at_most("[[quirks]] tables", 256)),
    )
    boot_configuration: tuple[BootConfigurationSetting, ...] = field(
        default=BOOT_CONFIGURATION,
        metadata=about("", at_most("[[boot_configuration]] tables", 64)),
    )
    authorization: AuthorizationSettings = field(factory=AuthorizationSettings)
    logging: LoggingSettings = field(factory=LoggingSettings)
    metrics: MetricsSettings = field(factory=MetricsSettings)
    tracing: TracingSettings = field(factory=TracingSettings)
    certificates: CertificateSettings = field(factory=CertificateSettings)
    drain: DrainSettings = field(factory=DrainSettings)
    cluster: ClusterSettings = field(factory=ClusterSettings)

    def places(self) -> list[Place]:
        """Everything that listens, in the order in which a clash is blamed on the later one."""
        found = [Place(f"listeners[{index}]", each.host, each.port) for index, each in enumerate(self.listeners)]
        found.append(Place("control.address", *self.control.host_and_port, both_families=True))
        if (http := self.http.host_and_port) is not None:
            found.append(Place("http.address", *http, both_families=True))
        if (metrics := self.metrics.host_and_port) is not None:
            found.append(Place("metrics.address", *metrics, both_families=True))
        return found

    def problems(self) -> Problems:
        """Return the faults between sections: names and addresses that are used twice, deadlines that contradict."""
        for name in twice(listener.name for listener in self.listeners):
            yield "listeners", f'the name "{name}" is used twice: logs and metrics could not tell them apart'
        http = self.http.host_and_port
        reason = None if http is None else self.control.openness(self.http.address, http[0])
        if reason is not None:
            yield "http.address", f"{reason} (of [control])"
        for place, other in clashes(self.places()):
            yield place.key, f"{place} is taken by {other.key} ({other}): only one of them can listen there"
        for key in twice(each.key.casefold() for each in self.boot_configuration):
            yield "boot_configuration", f'the key "{key}" is there twice; give its fallbacks as further values'
        if self.control.default_timeout_seconds < self.sessions.call_timeout_seconds:
            yield (
                "control.default_timeout_seconds",
                f"expected at least sessions.call_timeout_seconds ({self.sessions.call_timeout_seconds:g}), found "
                f"{self.control.default_timeout_seconds:g}: commands would be given up before the charger's time is up",
            )
        for key, seconds in (
            ("sessions.ready_after_silence_seconds", self.sessions.ready_after_silence_seconds),
            *(
                (f"quirks[{index}].ready_after_silence_seconds", each.ready_after_silence_seconds)
                for index, each in enumerate(self.quirks)
                if each.ready_after_silence_seconds is not None
            ),
        ):
            if seconds >= self.control.default_timeout_seconds:
                yield (
                    key,
                    f"expected less than control.default_timeout_seconds ({self.control.default_timeout_seconds:g}), "
                    f"found {seconds:g}: no command after a quiet reconnect would go out in time",
                )
        if self.sessions.settle_delay_seconds >= self.control.default_timeout_seconds:
            yield (
                "sessions.settle_delay_seconds",
                f"expected less than control.default_timeout_seconds ({self.control.default_timeout_seconds:g}), found "
                f"{self.sessions.settle_delay_seconds:g}: no command after a boot would go out in time",
            )
        if self.cluster.node and not self.store.url:
            yield "cluster.node", "needs store.url: nodes share a database on PostgreSQL"
        if 0 < self.drain.deadline_seconds < self.sessions.close_seconds:
            yield (
                "drain.deadline_seconds",
                f"expected 0 or at least sessions.close_seconds ({self.sessions.close_seconds:g}), found "
                f"{self.drain.deadline_seconds:g}: no connection could be closed in time",
            )


def clashes(places: Sequence[Place]) -> Iterator[tuple[Place, Place]]:
    """Each place that can't be listened on beside an earlier one, with the first such."""
    for index, place in enumerate(places):
        for other in places[:index]:
            if place.clashes(other):
                yield place, other
                break
