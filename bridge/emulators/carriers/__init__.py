"""Simulated carriers, one file each: the webhooks they send, their end of the media stream."""
