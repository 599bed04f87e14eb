"""Projects with user models of their own, each tried in a process of its own."""
