"""What a call did and how the process fares: timeline, counters, metrics."""
