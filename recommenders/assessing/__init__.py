"""Runs the topics and judges what they said."""
