"""The demo: four sites, contributors training on digits, attacks, an audit, a report."""
