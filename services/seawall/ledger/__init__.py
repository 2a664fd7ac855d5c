"""The append-only log of entries, the payload store, proofs and state of one site."""
