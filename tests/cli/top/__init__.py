"""`gateway top`."""
