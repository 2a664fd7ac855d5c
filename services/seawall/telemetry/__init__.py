"""Logs, metrics and nothing else: what a process says about itself."""
