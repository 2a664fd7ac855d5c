"""Verifies envelopes and payloads again from their bytes, and attests to them."""
