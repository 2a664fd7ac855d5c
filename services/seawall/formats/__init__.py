"""Formats of the outside world: strict, pure readers and writers of other people's bytes."""
