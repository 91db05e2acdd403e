"""OCPP-J messages, sans-I/O: frames (``rpc``) and what is particular to a protocol version (``v16``)."""
