"""Classify and localise what happens in video, from frame features."""
