"""Subscriptions on committed events: from any point of the history to its moving end, at the reader's own pace."""

from gateway.feed.feed import BEGINNING, Batch, BelowFloor, BeyondHead, Feed, Subscription
from gateway.feed.tokens import BadToken, Position, decode, encode

__all__ = [
    "BEGINNING",
    "BadToken",
    "Batch",
    "BelowFloor",
    "BeyondHead",
    "Feed",
    "Position",
    "Subscription",
    "decode",
    "encode",
]
