"""TLS and WebSocket connections of chargers over Trio, and the pure part of their authentication."""
