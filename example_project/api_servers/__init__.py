"""
What the API servers beside Pied Piper Todo stand on: Sharing, and Summaries.

They take the keys and the tokens that Pied Piper Todo gives, and have neither its database nor one of their own.
"""
