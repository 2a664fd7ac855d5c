"""Experiment files: one schema for the simulator, a laptop and a cluster."""
