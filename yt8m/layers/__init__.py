"""Pooling layers and classification heads; Keras operations only, so they run on every backend.

Frames come as (batch, frames, size) floats with ``frame_mask`` (batch, frames), true where a frame is real. A masked
frame never reaches an output, whatever it holds.
"""
