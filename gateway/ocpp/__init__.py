"""OCPP, sans-I/O: OCPP-J frames (``rpc``), what a session asks of a version (``protocol``), the versions (``v16``)."""
