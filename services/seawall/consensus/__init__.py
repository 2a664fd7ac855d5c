"""Consensus: the uncertified DAG, its committer, and the hosts that run a replica."""
