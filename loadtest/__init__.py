"""Load on real sites, with locust: see docs/load.md."""
