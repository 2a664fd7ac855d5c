"""A seeded world in virtual time that runs the very same replica as a laptop and a cluster."""
