"""The limits that supervise a session, each with its default and the reason for it."""

from attrs import frozen


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
    """Whether the gateway sends requests of its own accord; a charge point may have a setting of its own."""
    bad_messages: int = 50
    """Unreadable frames in a row before the session is ended: a broken peer, not a bad day (A3.9)."""
    end_deadline: float = 10.0
    """How long the end of a session may take to be recorded."""
