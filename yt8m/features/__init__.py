"""From a video file to features a second: decoding, sound, backbones, extraction."""
