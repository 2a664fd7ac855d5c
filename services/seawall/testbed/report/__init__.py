"""The demo's report: one page without network access, plots as inline SVG."""
