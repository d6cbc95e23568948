"""What several processes must agree on, behind small protocols: memory first, Redis later."""
