"""What happens next in a flow. Pure: a generator of actions."""
