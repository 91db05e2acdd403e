"""The chargers' door: who may connect, how many at once, and from an admitted connection to a running session."""
