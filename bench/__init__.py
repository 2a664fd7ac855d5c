"""Measurements of Seawall: small pieces one by one, and real sites under load."""
