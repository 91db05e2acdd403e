"""A charger's knowledge of id tags: the local list and the authorization cache (S §3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from gateway.simulator.configuration import LIST_MESSAGE_LIMIT, TAGS_LIMIT
from gateway.simulator.profiles import ProfileError, parse_time


@frozen
class TagInfo:
    """An idTagInfo as it was received."""

    status: str
    parent_id_tag: str | None = None
    expires: datetime | None = None

    def usable(self, now: datetime) -> bool:
        """Return true if the tag may charge at `now`."""
        return self.status == "Accepted" and (self.expires is None or now < self.expires)


def parse_tag_info(raw: object) -> TagInfo:
    """Read an idTagInfo. What cannot be read counts as Invalid: a charger must not charge on a guess."""
    if not isinstance(raw, dict) or not isinstance(raw.get("status"), str):
        return TagInfo("Invalid")
    parent = raw.get("parentIdTag")
    expires = None
    if raw.get("expiryDate") is not None:
        try:
            expires = parse_time(raw["expiryDate"], "expiryDate")
        except ProfileError:
            return TagInfo("Invalid")
    return TagInfo(raw["status"], parent if isinstance(parent, str) else None, expires)


class KnownTags:
    """The local list and the cache. Tags compare without regard to case (CiString20). Both are bounded."""

    def __init__(self) -> None:
        self.version = 0
        self._listed: dict[str, TagInfo] = {}
        self._cached: dict[str, TagInfo] = {}

    def __len__(self) -> int:
        return len(self._listed)

    def lookup(self, id_tag: str, *, use_list: bool = True, use_cache: bool = True) -> TagInfo | None:
        """Look a tag up locally; the list stands before the cache."""
        key = id_tag.casefold()
        if use_list and key in self._listed:
            return self._listed[key]
        return self._cached.get(key) if use_cache else None

    def remember(self, id_tag: str, info: TagInfo) -> None:
        """Put an answer of the central system into the cache; the oldest entry makes room."""
        key = id_tag.casefold()
        self._cached.pop(key, None)
        if len(self._cached) >= TAGS_LIMIT:
            del self._cached[next(iter(self._cached))]
        self._cached[key] = info

    def clear_cache(self) -> None:
        """Forget what the central system answered."""
        self._cached.clear()

    def update(self, version: int, differential: bool, entries: list[Mapping[str, Any]]) -> str:
        """Apply SendLocalList; answers its status. Nothing changes unless all of it applies (S §5.15)."""
        if version <= 0 or len(entries) > LIST_MESSAGE_LIMIT:
            return "Failed"
        if differential and version <= self.version:
            return "VersionMismatch"
        tags = dict(self._listed) if differential else {}
        seen: set[str] = set()
        for entry in entries:
            tag = entry.get("idTag")
            if not isinstance(tag, str) or not 0 < len(tag) <= 20 or tag.casefold() in seen:
                return "Failed"
            seen.add(tag.casefold())
            if entry.get("idTagInfo") is not None:
                tags[tag.casefold()] = parse_tag_info(entry["idTagInfo"])
            elif differential:
                tags.pop(tag.casefold(), None)
            else:
                return "Failed"
        if len(tags) > TAGS_LIMIT:
            return "Failed"
        self._listed, self.version = tags, version
        return "Accepted"
