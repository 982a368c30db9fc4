"""Words of videos, on the screen and spoken, as evidence of classes."""
