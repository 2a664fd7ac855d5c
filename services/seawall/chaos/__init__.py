"""Chaos: the fault plane in every process that allows it."""
