"""The server side of one WebSocket connection, sans-I/O: bytes in, events and bytes out."""
