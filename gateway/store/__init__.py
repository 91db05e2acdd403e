"""The store of everything acknowledged: the ``Store`` protocol, and its embedded implementation on SQLite."""
