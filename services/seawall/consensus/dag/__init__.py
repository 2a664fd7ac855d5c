"""The DAG engine: store, pending blocks, clock, proposer, committer, linearizer, synchroniser."""
