"""From a charge point's identity to the session that owns it. Control reaches sessions only through here."""
