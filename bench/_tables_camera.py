"""What happens to pictures of tables: turns, skew, perspective, light, noise, blur, JPEG."""

from __future__ import annotations

import io
import math
import random
from typing import Any


def turned(image: Any, draw: random.Random) -> Any:
    """By 90, 180 or 270 degrees."""
    from PIL import Image

    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return image.transpose(draw.choice(turns))


def ground_of(image: Any) -> Any:
    """The colour of its corner."""
    return image.getpixel((0, 0))


def skewed(image: Any, draw: random.Random) -> Any:
    """By 1 to 8 degrees either way, on a ground of its own colour."""
    from PIL import Image

    degrees = draw.choice((-1, 1)) * draw.uniform(1.0, 8.0)
    return image.rotate(degrees, Image.Resampling.BICUBIC, True, fillcolor=ground_of(image))


def _coefficients(source: list[tuple[float, float]], target: list[tuple[float, float]]) -> Any:
    """Pillow's eight numbers that take points of `target` to those of `source`."""
    import numpy as np

    rows, values = [], []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist()


def perspective(image: Any, draw: random.Random) -> Any:
    """As a photograph from aside: each corner moves in by up to 6% of the sides."""
    from PIL import Image

    width, height = image.size
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    signs = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    moved = [
        (x + sx * draw.uniform(0, 0.06) * width, y + sy * draw.uniform(0, 0.06) * height)
        for (x, y), (sx, sy) in zip(corners, signs, strict=True)
    ]
    table = (120, 110, 100) if draw.random() < 0.5 else ground_of(image)
    return image.transform(
        image.size, Image.Transform.PERSPECTIVE, _coefficients(corners, moved),
        Image.Resampling.BICUBIC, fillcolor=table,
    )  # fmt: skip


def lit(image: Any, draw: random.Random) -> Any:
    """Light from one side: brightness falls to 60 to 85% at the other."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(image, np.float32)
    height, width = pixels.shape[:2]
    angle = draw.uniform(0, 2 * math.pi)
    x = np.linspace(-1, 1, width)[None, :] * math.cos(angle)
    y = np.linspace(-1, 1, height)[:, None] * math.sin(angle)
    least = draw.uniform(0.6, 0.85)
    light = least + (1 - least) * (x + y + 1.5) / 3
    return Image.fromarray(np.clip(pixels * light[..., None], 0, 255).astype(np.uint8))


def noisy(image: Any, draw: random.Random) -> Any:
    """Gaussian noise of a deviation of 6 to 18 levels, as of scanners and cameras."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(draw.randrange(2**32)).normal(0, draw.uniform(6, 18), 1 << 20)
    pixels = np.asarray(image, np.float32)
    added = np.resize(noise, pixels.shape[:2])[..., None]
    return Image.fromarray(np.clip(pixels + added, 0, 255).astype(np.uint8))


def jpeg(image: Any, draw: random.Random) -> Any:
    """Compressed at a quality of 20 to 50."""
    from PIL import Image

    file = io.BytesIO()
    image.save(file, "JPEG", quality=draw.randint(20, 50))
    return Image.open(file).convert("RGB")


def blurred(image: Any, draw: random.Random) -> Any:
    """By a Gaussian of 0.6 to 1.2 pixels."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(draw.uniform(0.6, 1.2)))
