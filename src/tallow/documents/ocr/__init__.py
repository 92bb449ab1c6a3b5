"""Text of pictures: detection, direction and recognition of lines, and what is written of it."""
