"""The aggregation service: turns each cut into the next model version, equal at every site."""
