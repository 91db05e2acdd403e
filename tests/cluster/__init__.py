"""Several gateways on one PostgreSQL and one NATS, as processes: killed, stopped, woken, drained."""
