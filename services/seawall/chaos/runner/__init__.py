"""Runs an experiment on real sites: a pure core, and protocols for what differs by platform."""
