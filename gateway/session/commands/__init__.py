"""Commands to one charger: their queue, the task of each, the calls on the wire, and the gateway's own requests."""
