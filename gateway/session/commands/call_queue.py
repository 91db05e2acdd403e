"""Who may have the wire: a queue in which a place is taken in one step and waited for in another.

A lock whose place is taken by waiting for it gives no order to callers that must record something first: their tasks
wake in any order. Here whoever asks first is first, whatever it does between asking and its turn (A5.5).
"""

from types import TracebackType

import trio


class Slot:
    """A place in a line, left on leaving the ``with`` block; to be waited for by one task."""

    __slots__ = ("_called", "_line")

    def __init__(self, line: "CallQueue") -> None:
        self._line: CallQueue | None = line
        self._called: trio.Event | None = None

    @property
    def has_come(self) -> bool:
        """Whether it is this one's turn."""
        return self._line is not None and self._line.head is self

    async def wait(self) -> None:
        """Return when it is this one's turn, at once if it is already. Cancelling is safe: the place is kept."""
        while not self.has_come:
            self._called = trio.Event()
            await self._called.wait()

    def leave(self) -> None:
        """Give up the place, or the turn; the next one's comes. Repeating it does nothing."""
        line, self._line = self._line, None
        if line is not None:
            line._leave(self)

    def call(self) -> None:
        """Its turn has come."""
        if self._called is not None:
            self._called.set()

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()


class CallQueue:
    """The queue. Its length is bounded by who asks: the commands that a session takes, and one of its own."""

    def __init__(self) -> None:
        self._turns: list[Slot] = []  # nearly always empty, where a deque would take 760 bytes

    @property
    def head(self) -> Slot | None:
        """Whose turn it is."""
        return self._turns[0] if self._turns else None

    def ask(self) -> Slot:
        """Take a place at the end."""
        turn = Slot(self)
        self._turns.append(turn)
        return turn

    def _leave(self, turn: Slot) -> None:
        was_head = self._turns[0] is turn
        self._turns.remove(turn)
        if was_head and self._turns:
            self._turns[0].call()
