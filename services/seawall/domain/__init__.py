"""Frozen values that every part of Seawall shares: committee, genesis, blocks, commits, updates."""
