"""What every process shares: servers, channels, health, clocks, crash points, life cycle."""
