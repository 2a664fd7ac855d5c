"""A slow reference of the fast path over explicit DAGs, and the searches that try to break it."""
