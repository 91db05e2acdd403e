"""Faults that change nothing that anybody could see, each with the reason. Found by their identity, which stays when
lines move and goes when the statement changes."""

# ruff: noqa: E501 - an identity is one text, to be searched for

KNOWN: dict[str, str] = {
    "gateway/domain/credentials.py::_verify::return::return False::return False -> return None #1": "`verify` goes through any(), which takes both for no",
    "gateway/journal/journal.py::Journal._recover::condition::why = str(error) if isinstance(error, StoreError | RuntimeError) else repr(error)::not (isinstance(error, StoreError | RuntimeError))": "only the log shows it",
    "gateway/session/commands/queue.py::Unfinished.read_back::condition::if errand.known is not None:::errand.known is not None -> True": "what was not recorded is not found either: one read more, with the same outcome",
    "gateway/session/commands/command_task.py::CommandTask._take_turn::constant::ready = False::False -> True": "the scope is left early at the deadline only, and then the next condition says too late",
    "gateway/session/session.py::Session._answer::condition::if told is Registration.ACCEPTED:::told is Registration.ACCEPTED -> True": "provisioning waits for full access itself, whenever it was begun",
    "gateway/session/keepalive.py::TimerQueue.remove::boundary::if self._left > max(MAX_LEFT, len(self._queue) // 2):::self._left > max(MAX_LEFT, len(self._queue) // 2) -> self._left >= max(MAX_LEFT, len(self._queue) // 2)": "the queue is tidied up one removal earlier; what is watched is the same",
    "gateway/store/sqlite/writer.py::Writer._append::operand::if transaction_id is not None and body.TYPE in _ENDS:::transaction_id is not None and body.TYPE in _ENDS -> transaction_id is not None": "what is forgotten is looked up again: a query more, with the same answer",
    "gateway/store/sqlite/writer.py::Writer._transaction::drop::owner.open[transaction_id] = key::- owner.open[transaction_id] = key": "what is not remembered is looked up again: a query more, with the same answer",
    "gateway/store/sqlite/event_queries.py::events::condition::if len(where.charge_points) > MAX_INDEXED:::len(where.charge_points) > MAX_INDEXED -> True": "the other of two ways to the same events; it only costs more",
    "gateway/store/sqlite/generations.py::_settle_in::keyword::pages, written = cx.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)::wal_checkpoint(- mode=apsw.SQLITE_CHECKPOINT_PASSIVE)": "PASSIVE is what SQLite does where nothing is said",
    "gateway/store/sqlite/process_lock.py::ProcessLock.release::constant::self._fd = -1::1 -> 2": "any number below 0 is no descriptor",
    "gateway/store/sqlite/recovery.py::_copy::finally::try:::- target.close()": "the connection goes with its last reference, which is the function's own",
    "gateway/store/sqlite/store.py::SqliteStore.__init__::drop::self._codes: dict[str, int] = {}::- self._codes: dict[str, int] = {}": "opening sets it before anything reads it",
    "gateway/store/sqlite/store.py::SqliteStore.admission::constant::with self._readers.connection(transaction=False) as cx:::False -> True": "one statement is one moment's state, with a transaction around it and without",
    "gateway/store/sqlite/store.py::SqliteStore.mark::drop::self._marked = state::- self._marked = state": "the same mark is written once more; what is on disk is the same",
    "gateway/store/sqlite/retention.py::trim::constant::floor = int(one(cx, \"SELECT value FROM meta WHERE name = 'floor'\")[0])::0 -> -1": "a row of one column: its first is its last",
}
"""Identity → why it changes nothing."""
