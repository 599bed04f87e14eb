"""Pied Piper's own programs outside of its to-do service: watch, analytics, and a web app that signs people in."""
