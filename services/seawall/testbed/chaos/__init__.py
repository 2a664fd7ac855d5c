"""Runs experiments on real sites: actuators, probes, load, what the ledgers say, and reports."""
