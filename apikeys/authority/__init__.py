"""
The central authority's HTTP edge: introspection, revocation, tokens, published keys, what was revoked, metadata.

An optional app beside ``apikeys``, for an organisation with several API servers; these use ``resource_server``.
"""
