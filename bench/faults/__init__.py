"""Faults on real sites under load: what is lost (nothing may be), and how long recovery takes."""
