"""The settings of the charger side but for listeners: sessions, the configuration put to chargers, authorization.

Each field has a default and says why it is that, or has none because there can't be one. A section's ``problems`` are
what its fields can't say alone: pairs of a key and what is wrong with it. ``load`` asks for them; code that builds
settings itself is trusted.
"""

from typing import Literal

from attrs import Factory, field, fields, frozen

from gateway.app.settings.expectations import (
    Problems,
    about,
    networks,
    number,
    one_of,
    text,
    texts,
    whole,
)
from gateway.ocpp.v16.configuration_keys import is_authorization_key

SILENCE_SLACK_SECONDS = 30
"""By how much the silence limit must exceed the longest interval a charger was given: its timer is late and its link
slow now and then. A limit equal to the interval makes connections flap (A6.5)."""


def _silence(sessions: "SessionSettings") -> float:
    return max(sessions.heartbeat_interval, sessions.retry_interval) + float(SILENCE_SLACK_SECONDS)


@frozen
class SessionSettings:
    """Limits and tolerances of a charger's connection."""

    heartbeat_interval: int = field(
        default=300,
        metadata=about(
            "The interval that an accepted charger is given (S §4.2). Five minutes keep mobile data small; a lost link "
            "is found by a ping before.",
            whole(10, 86_400, "seconds"),
        ),
    )
    retry_interval: int = field(
        default=300,
        metadata=about(
            "How long a Pending or Rejected charger is to wait before its next boot; never 0, which would leave it "
            "to the charger (S §4.2).",
            whole(10, 86_400, "seconds"),
        ),
    )
    silence_seconds: float = field(
        default=Factory(_silence, takes_self=True),
        metadata=about(
            "Nothing heard for so long, not even a pong: the connection is pinged, then closed. Must exceed both "
            f"intervals by {SILENCE_SLACK_SECONDS} seconds, which it does unless set: a limit equal to the interval "
            "makes connections flap.",
            number(20, 172_800, "seconds"),
            example=330,
        ),
    )
    ping_seconds: float = field(
        default=50.0,
        metadata=about(
            "A connection on which nothing was sent for so long gets a ping, so that an idle one hears something: some "
            "chargers give it up after 110 seconds, some routers after 60. 0 sends none but silence's.",
            number(0, 3600, "seconds"),
        ),
    )
    ping_grace_seconds: float = field(
        default=30.0,
        metadata=about(
            "How long a silent charger has to answer the ping, or to say anything. Longer than a mobile link's worst "
            "round trip.",
            number(1, 600, "seconds"),
        ),
    )
    call_timeout_seconds: float = field(
        default=40.0,
        metadata=about(
            "How long a charger may take to answer a command. Home chargers on mobile links take tens of seconds "
            "(J §4.1.1); then the command's outcome is unknown, and a late answer is still recorded.",
            number(1, 600, "seconds"),
        ),
    )
    call_queue_limit: int = field(
        default=32,
        metadata=about(
            "Commands that may wait for one charger; one more is refused. They go out one at a time, so a longer "
            "queue would only hold what runs out of time.",
            whole(1, 10_000),
        ),
    )
    vendor_data_seconds: float = field(
        default=5.0,
        metadata=about(
            "How long a service that registered for a vendor's data (DataTransfer) may take to answer; then the "
            "charger is answered Rejected. Well below the 30 seconds for which chargers wait.",
            number(0.1, 25, "seconds"),
        ),
    )
    settle_delay_seconds: float = field(
        default=2.0,
        metadata=about(
            "How long a charger is left alone after its boot was answered; commands too early send some wallboxes "
            "into a boot loop.",
            number(0, 300, "seconds"),
        ),
    )
    ready_after_silence_seconds: float = field(
        default=2.0,
        metadata=about(
            "A charger that comes back without a boot gets commands after its first message or, if it says nothing, "
            "after so long. Makes that need longer have a [[quirks]] table.",
            number(0, 3600, "seconds"),
        ),
    )
    own_requests: bool = field(
        default=True,
        metadata=about(
            "Whether the gateway asks chargers for anything of its own accord: the platform's configuration after a "
            "boot, statuses after a reconnect, a boot of one that never booted here. Off for certification runs; "
            "`gateway chargers update ID --own-requests on` (off, default) decides for one.",
        ),
    )
    max_bad_messages: int = field(
        default=50,
        metadata=about(
            "Unreadable messages in a row before a connection is closed. Not at the first: chargers truncate one now "
            "and then.",
            whole(1, 1_000_000),
        ),
    )
    end_seconds: float = field(
        default=10.0,
        metadata=about("How long the end of a session may take to be recorded.", number(0.1, 120, "seconds")),
    )
    write_seconds: float = field(
        default=20.0,
        metadata=about(
            "A message that can't be handed to the network for so long ends the connection: the charger does not "
            "read. Longer than a cell hand-over.",
            number(1, 600, "seconds"),
        ),
    )
    close_seconds: float = field(
        default=2.0,
        metadata=about(
            "How long closing a connection may take before it is cut off; vanished chargers never answer.",
            number(0.1, 60, "seconds"),
        ),
    )
    tls_handshake_seconds: float = field(
        default=15.0,
        metadata=about(
            "For the TLS handshake. A wallbox with a slow processor on a weak link takes some seconds; one that takes "
            "longer only holds a place.",
            number(1, 120, "seconds"),
        ),
    )
    upgrade_seconds: float = field(
        default=10.0,
        metadata=about(
            "From the handshake to the complete upgrade request: one packet for a charger.", number(1, 120, "seconds")
        ),
    )
    admission_seconds: float = field(
        default=10.0,
        metadata=about(
            "For looking up a charger and checking its password; then 503, and the charger tries again later.",
            number(1, 120, "seconds"),
        ),
    )
    max_concurrent_handshakes: int = field(
        default=200,
        metadata=about(
            "Connections between a handshake's first bytes and its upgrade; others wait. So many keep a core busy when "
            "all chargers come back at once, and bound what half-open ones cost.",
            whole(1, 100_000),
        ),
    )
    shared_addresses: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Addresses and networks that stand for many chargers and not for one site: a balancer's, a mobile "
            "carrier's behind one NAT. Connections from there are not counted together when there is a crowd; without "
            "it one address holds three quarters of the places above at most. Empty: chargers come from addresses of "
            "their own.",
            networks(1000),
        ),
    )
    max_sessions: int | None = field(
        default=None,
        metadata=about(
            "Chargers at once; more are answered 503 with a time to come again. Unless set, as many as there are file "
            "descriptors for, which the log says at the start.",
            whole(1, 1_000_000),
            example=20_000,
        ),
    )
    max_messages_per_second: float = field(
        default=20.0,
        metadata=about(
            "What one charger may keep up; it is read slower beyond that, also on a new connection, and nothing is "
            "lost. 4 kB of a message count as one more. A charger in a transaction sends one a second at most; twenty "
            "empty a week's offline queue in minutes.",
            number(0.1, 100_000, "messages"),
        ),
    )
    message_burst: int = field(
        default=300,
        metadata=about(
            "Messages that it may send at once before that rate counts: a night's offline queue.",
            whole(1, 1_000_000),
        ),
    )
    max_message_bytes: int = field(
        default=4_194_304,
        metadata=about(
            "A larger message ends the connection with 1009, and the event names its size. Real ones stay below "
            "200 kB, but for a StopTransaction with hours of samples. Of those above a megabyte one is taken in at a "
            "time.",
            whole(4_096, 67_108_864, "bytes"),
        ),
    )
    kept_frames: int = field(
        default=20,
        metadata=about(
            "The last messages of each charger, kept in memory without secrets for `gateway frames`, also of the last "
            "1,000 chargers that went. Twenty tell a whole boot and cost 8 kB a charger, 20 kB at most where all are "
            "large; 0 keeps none.",
            whole(0, 200),
        ),
    )

    def problems(self) -> Problems:
        """The silence limit leaves slack above the intervals that chargers are given."""
        for name in ("heartbeat_interval", "retry_interval"):
            least = getattr(self, name) + SILENCE_SLACK_SECONDS
            if self.silence_seconds < least:
                yield (
                    "silence_seconds",
                    f"expected at least {least} ({name} and {SILENCE_SLACK_SECONDS} seconds of slack), found "
                    f"{self.silence_seconds:g}: a charger that keeps to its interval would be cut off",
                )
                return


@frozen
class BootConfigurationSetting:
    """A key that accepted chargers are asked to set by ChangeConfiguration, in the order of the file."""

    key: str = field(metadata=about("The configuration key (S §9).", text(50, "a configuration key")))
    values: tuple[str, ...] = field(
        metadata=about(
            "The value; more of them are fallbacks, tried in order where the charger refuses the one before.",
            texts(500, 8, "values"),
        )
    )

    def problems(self) -> Problems:
        """A password is one charger's own."""
        if is_authorization_key(self.key):
            yield "key", f"{self.key} is one charger's own and is not set from here: use its credentials"


@frozen
class QuirkSettings:
    """Needs of chargers of one make: a quirk profile. A table for a vendor, a model or a firmware, as the charger names
    them when it boots, without regard to case; * stands for any text. Each key counts for itself: the last table that
    fits and has it prevails over the built-in profiles, and what is set for a charge point alone over both (`gateway
    chargers update ID --quirk`). `gateway chargers show` says what counts and where it comes from."""

    vendor: str = field(metadata=about("The vendor.", text(255), example="Wall Box Chargers"))
    model: str = field(default="*", metadata=about("The model.", text(255)))
    firmware: str = field(default="*", metadata=about("The firmware version.", text(255)))
    ready_after_silence_seconds: float | None = field(
        default=None,
        metadata=about(
            "As sessions.ready_after_silence_seconds, for chargers of this make: longer where commands before the "
            "first message after a reconnect send them into a boot loop. Must be less than "
            "control.default_timeout_seconds.",
            number(0, 300, "seconds"),
            example=30,
        ),
    )
    settle_delay_seconds: float | None = field(
        default=None,
        metadata=about("As sessions.settle_delay_seconds.", number(0, 300, "seconds"), example=5),
    )
    plug_in_first: bool | None = field(
        default=None,
        metadata=about(
            "Whether chargers of this make refuse or forget a remote start where no cable is in: StartCharging is then "
            "refused for a connector that is Available, unless the caller insists.",
            example=True,
        ),
    )
    own_requests: bool | None = field(
        default=None,
        metadata=about("As sessions.own_requests.", example=False),
    )
    assume_subprotocol: bool | None = field(
        default=None,
        metadata=about(
            "Whether chargers of this make are let in without a subprotocol. Before its first boot here a charger is "
            'of no known make: then only a table for all (vendor "*") counts, or what is set for it alone.',
            example=True,
        ),
    )
    accept_hex_password: bool | None = field(
        default=None,
        metadata=about("As authorization.accept_hex_passwords, from a charger's first boot here on.", example=True),
    )
    ping_seconds: float | None = field(
        default=None,
        metadata=about("As sessions.ping_seconds.", number(0, 3600, "seconds"), example=20),
    )
    pong_expected: bool | None = field(
        default=None,
        metadata=about(
            "Whether chargers of this make answer pings. Where they don't, a silent one has sessions.silence_seconds "
            "once more, in the place of sessions.ping_grace_seconds.",
            example=False,
        ),
    )
    measurands: tuple[str, ...] | None = field(
        default=None,
        metadata=about(
            "Lists of measurands for MeterValuesSampledData in the place of those in [[boot_configuration]], in order "
            "of preference; without that key there, none is asked for.",
            texts(500, 8, "lists of measurands"),
            example=("Energy.Active.Import.Register",),
        ),
    )
    max_schedule_periods: int | None = field(
        default=None,
        metadata=about(
            "The most periods of a limit's or plan's charging schedule, where chargers of this make take fewer than "
            "they report.",
            whole(1, 1000),
            example=6,
        ),
    )
    max_stack_level: int | None = field(
        default=None,
        metadata=about("The highest stack level, where it is lower than they report.", whole(0, 1000), example=0),
    )
    clock_offset_seconds: float | None = field(
        default=None,
        metadata=about(
            "By how much their clock is ahead, always: 3600 for local time of UTC+1 that is labelled Z. Their times "
            "are corrected by it before they are recorded.",
            number(-86_400, 86_400, "seconds"),
            example=3600,
        ),
    )

    def problems(self) -> Problems:
        """A table says something."""
        keys = [each.name for each in fields(type(self)) if each.name not in ("vendor", "model", "firmware")]
        if all(getattr(self, each) is None for each in keys):
            yield "vendor", "the table says nothing about this make: give one of " + ", ".join(sorted(keys))


MEASURANDS = (
    "Energy.Active.Import.Register,Power.Active.Import",
    "Energy.Active.Import.Register,Current.Import,Voltage",
)
"""What the platform needs in meter values, and what gives the same where a charger can't measure power."""

BOOT_CONFIGURATION = (
    BootConfigurationSetting(key="MeterValuesSampledData", values=MEASURANDS),
    BootConfigurationSetting(key="MeterValueSampleInterval", values=("60",)),
)


@frozen
class AuthorizationSettings:
    """Standing of idTags: those in the table have their own status; this is for the others."""

    accept_hex_passwords: bool = field(
        default=False,
        metadata=about(
            "Whether chargers may present their AuthorizationKey in hexadecimal digits (40 for 20 bytes) in the "
            "place of its bytes, a known misreading of the standard. `gateway chargers update ID "
            "--hex-password on` (off, default) decides for one.",
        ),
    )
    unknown_tags: Literal["Invalid", "Accepted"] = field(
        default="Invalid",
        metadata=about(
            'The answer for a tag that is not in the table. "Accepted" is for private chargers open to every user.',
            one_of("Invalid", "Accepted"),
        ),
    )
