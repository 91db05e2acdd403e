"""Events of steered charging: what is wanted of a connector, how far that has got, the profiles that a charger has."""

from typing import ClassVar, TypeAlias

from attrs import field, frozen

from gateway.domain.charging import ChargingProfile, ProfilePurpose
from gateway.domain.steering import Steering, Wanted
from gateway.domain.values import ConnectorAddress


@frozen
class WantedChanged:
    """A caller changed what is wanted of a connector; from then on its steering is ``PENDING``. ``wanted``: all of it,
    as it is after the change.

    ``what``: limit-set, limit-lifted, plan-set, plan-cleared. ``by`` and ``why``: the caller's words.
    """

    TYPE: ClassVar[str] = "wanted.changed"
    VERSION: ClassVar[int] = 1
    wanted: Wanted
    what: str
    request_id: str = ""
    by: str = ""
    why: str = ""
    fingerprint: str = field(default="", repr=False)
    """Digest of the request: distinguishes a repeated request from another one under the same id."""
    caller: str = ""
    """The caller of the control interface; empty: it had no name, as in older events."""
    operation_id: str = ""
    """The operation that changes it; empty: it was asked for as a change."""


@frozen
class SteeringChanged:
    """A connector's wanted state has got further, or back: sent, accepted, verified, refused, without effect. One of an
    earlier revision than the present one changes nothing."""

    TYPE: ClassVar[str] = "steering.changed"
    VERSION: ClassVar[int] = 1
    connector: ConnectorAddress
    steering: Steering


@frozen
class ChargingProfileInstalled:
    """The charger accepted a charging profile, which was sent alone or with a remote start. It replaces one with the
    same id, and one on the same connector with the same purpose and stack level (B10.4): that has no event."""

    TYPE: ClassVar[str] = "charging_profile.installed"
    VERSION: ClassVar[int] = 1
    connector: ConnectorAddress
    profile: ChargingProfile


@frozen
class ChargingProfileRemoved:
    """The charger has a charging profile no more that it had accepted. ``why``: ``cleared``; ``unknown``: it was asked
    to clear it, and does not know it; ``looked``: it gave no answer to that, and its composite schedule allows more
    than the profile does. One that goes with its transaction, or is replaced, has no such event."""

    TYPE: ClassVar[str] = "charging_profile.removed"
    VERSION: ClassVar[int] = 1
    connector: ConnectorAddress
    profile_id: int
    purpose: ProfilePurpose
    why: str


Body: TypeAlias = WantedChanged | SteeringChanged | ChargingProfileInstalled | ChargingProfileRemoved
