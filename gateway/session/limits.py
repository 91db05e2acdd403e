"""The limits that supervise a session, each with its default and the reason for it."""

from attrs import evolve, frozen

from gateway.domain.quirks import EffectiveQuirks


@frozen
class SessionLimits:
    """All times in seconds."""

    heartbeat_interval: int = 300
    """Interval that an accepted charger is given (S §4.2). Any message counts as a heartbeat (S §4.6)."""
    retry_interval: int = 300
    """Interval that a Pending or Rejected charger is given to wait before its next boot; positive (B1.2)."""
    silence: float = 330.0
    """Nothing heard for so long: a ping. More than the heartbeat interval, or chargers that are merely punctual
    would flap (A6.5)."""
    ping_interval: float = 50.0
    """Nothing sent for so long: a ping, so that the charger and what lies between hear something. Some chargers give up
    after 110 s, some routers after 60; 0 sends none."""
    ping_grace: float = 30.0
    """Nothing heard for so long after that ping either: the end. Longer than a mobile link's worst round trip."""
    call_timeout: float = 40.0
    """How long one CALL may hold the wire. Home chargers on mobile links take tens of seconds (JE 3.4)."""
    call_queue: int = 32
    """Commands that may wait for one charger. At one a second it is half a minute's worth; more would only expire."""
    settle_delay: float = 2.0
    """Pause after Boot.conf before the gateway speaks: earlier commands put some wallboxes into a boot loop
    (quirk 7)."""
    ready_after_silence: float = 2.0
    """A charger that reconnects without a Boot and says nothing is spoken to after this long."""
    own_requests: bool = True
    """Whether the gateway sends requests of its own accord; a charge point's quirk profile may say otherwise."""
    bad_messages: int = 50
    """Unreadable frames in a row before the session is ended: a broken peer, not a bad day (A3.9)."""
    end_deadline: float = 10.0
    """How long the end of a session may take to be recorded."""

    def with_quirks(self, quirks: EffectiveQuirks) -> "SessionLimits":
        """The limits of a session with this profile; themselves where it changes none of them."""
        grace = self.ping_grace if quirks.pong_expected else max(self.ping_grace, self.silence)
        if (
            quirks.settle_delay == self.settle_delay
            and quirks.ready_after_silence == self.ready_after_silence
            and quirks.ping_interval == self.ping_interval
            and quirks.own_requests is self.own_requests
            and grace == self.ping_grace
        ):
            return self
        return evolve(
            self,
            settle_delay=quirks.settle_delay,
            ready_after_silence=quirks.ready_after_silence,
            ping_interval=quirks.ping_interval,
            own_requests=quirks.own_requests,
            ping_grace=grace,
        )


def quirk_defaults(limits: SessionLimits, *, accept_hex_password: bool = False) -> EffectiveQuirks:
    """The profile of a charger of which none says anything."""
    return EffectiveQuirks(
        accept_hex_password=accept_hex_password,
        own_requests=limits.own_requests,
        settle_delay=limits.settle_delay,
        ready_after_silence=limits.ready_after_silence,
        ping_interval=limits.ping_interval,
    )
