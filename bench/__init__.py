"""Measurements of Seawall: small pieces one by one, and four sites under load."""
