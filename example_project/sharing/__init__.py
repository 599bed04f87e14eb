"""Sharing: an API server that asks the authority about every key."""
