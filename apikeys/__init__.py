"""API keys and scopes for Django: hashed at rest, checked on every request, revoked at once."""

__version__ = "0.1.0"
