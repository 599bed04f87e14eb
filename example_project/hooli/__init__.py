"""The LLM Summariser of Hooli Labs: somebody else's program, which people let read their to-dos."""
