"""Phone carriers, one file each: the wire dialect, the webhook's answer, the signature."""
