"""Agents: async functions of a `Call`. They know nothing else of the bridge."""
