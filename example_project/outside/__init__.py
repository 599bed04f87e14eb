"""
What the programs outside of Pied Piper Todo stand on: Hooli's and Pied Piper's own.

They are clients, in processes of their own. Nothing here or in them imports ``apikeys`` or the to-do service.
"""
