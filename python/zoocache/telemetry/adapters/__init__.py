"""Where a `TelemetryManager` sends what it counts. Each module needs its own client."""
