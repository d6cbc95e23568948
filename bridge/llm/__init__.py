"""Language models: what was said so far, and what comes next. Nothing here knows of calls."""
