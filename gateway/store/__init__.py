"""Where everything acknowledged is kept: the ``Store`` protocol, and its embedded implementation on SQLite."""
