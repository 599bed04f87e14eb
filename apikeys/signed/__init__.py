"""What a signed token is (RFC 9068): its claims, its keys and its algorithms, for both who signs and who checks."""
