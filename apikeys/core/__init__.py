"""What an API key is, without Django, without I/O and without a clock."""
