"""Seawall: a blockchain for decentralised AI at the edge, and its testbed."""
