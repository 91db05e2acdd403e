"""Authorization of tags: asked of the central system, or decided by the local list and cache."""

from __future__ import annotations

from gateway.simulator.config import Clock
from gateway.simulator.configuration import Configuration
from gateway.simulator.connection import Connection
from gateway.simulator.idtags import KnownTags, TagInfo, parse_tag_info
from gateway.simulator.link import LinkClosed
from gateway.simulator.session import CallFailed, CallRefused

_INVALID = TagInfo("Invalid")


class Authorizer:
    """Decides by S §3.4 and §3.5, ruled by the configuration keys named there."""

    def __init__(self, settings: Configuration, tags: KnownTags, connection: Connection, clock: Clock) -> None:
        self._settings = settings
        self._tags = tags
        self._connection = connection
        self._clock = clock

    async def authorize(self, id_tag: str) -> TagInfo:
        """Return the standing of a tag now. Waits for the central system at most as long as a CALL may take."""
        known = self._tags.lookup(
            id_tag,
            use_list=self._settings.enabled("LocalAuthListEnabled"),
            use_cache=self._settings.enabled("AuthorizationCacheEnabled"),
        )
        if known is not None and known.usable(self._clock()) and self._settings.enabled("LocalPreAuthorize"):
            return known
        if self._connection.registration in ("Pending", "Rejected"):
            return _INVALID
        if self._connection.online and self._connection.accepted:
            try:
                return await self._ask(id_tag)
            except CallRefused:
                return _INVALID
            except (CallFailed, LinkClosed):
                pass  # no answer is the same as no link: decided here
        if known is not None:
            return known if self._settings.enabled("LocalAuthorizeOffline") else _INVALID
        return TagInfo("Accepted") if self._settings.enabled("AllowOfflineTxForUnknownId") else _INVALID

    async def _ask(self, id_tag: str) -> TagInfo:
        answer = await self._connection.call("Authorize", {"idTag": id_tag})
        info = parse_tag_info(answer.get("idTagInfo"))
        self._tags.remember(id_tag, info)
        return info
