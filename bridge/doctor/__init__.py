"""Is this installation fit to take calls: facts are gathered, judged, and told with their mend."""
