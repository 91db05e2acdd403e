"""The bridge between the two loops: Trio in the main thread, one asyncio loop in one other thread.

Nothing else in the gateway knows both. The asyncio side calls functions and consumes generators that run in Trio; the
Trio side starts that loop, ends it and joins its thread.
"""

from gateway.bridge.bridge import Bridge
from gateway.bridge.mailbox import BridgeError, Interrupted, Overloaded, Unavailable
from gateway.bridge.stream import Stream
from gateway.bridge.thread import Started

__all__ = ["Bridge", "BridgeError", "Interrupted", "Overloaded", "Started", "Stream", "Unavailable"]
