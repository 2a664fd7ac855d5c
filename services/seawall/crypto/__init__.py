"""Hashes, Ed25519 signatures and RFC 6962 Merkle trees: pure, without clock or randomness."""
