"""Runs experiments, measures them and judges them."""
