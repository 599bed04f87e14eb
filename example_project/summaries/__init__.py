"""Summaries: an API server that reads signed tokens by itself."""
