"""What Prometheus and Grafana are given: rules, dashboards, and where to find the sites."""
