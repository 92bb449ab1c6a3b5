"""The steps of a processor, each from one picture to the next.

A picture is a Pillow image or an array (H, W, 3) of u8 or floats until its tones are set, and then
an array (3, H, W) of f32. Arithmetic is transformers': each result has its bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, expect
from tallow.vision.images import MAX_PIXELS, float_range, pillow, to_pillow
from tallow.vision.sizes import RULES, whole_frames

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from tallow.vision.settings import Settings

    Array = np.ndarray[Any, Any]
    Picture = Any  # an Image or an Array

MAX_FRAMES = 1024  # of one picture

Step = Callable[[Any, "Settings"], Any]


def edges_of(picture: Picture) -> tuple[int, int]:
    """The height and width of a picture before its tones are set."""
    if isinstance(picture, pillow().Image):
        return picture.height, picture.width
    return int(picture.shape[0]), int(picture.shape[1])


def as_array(picture: Picture) -> Array:
    """The picture as an array (H, W, 3)."""
    import numpy as np

    return np.asarray(picture)


def resize(picture: Picture, settings: Settings) -> Picture:
    """To the size that the type's rule gives, by Pillow."""
    if not settings.do_resize:
        return picture
    return _resized(
        picture, RULES[settings.kind.rule](*edges_of(picture), settings), settings.resample
    )


def resize_smooth(picture: Picture, settings: Settings) -> Array:
    """DINOv3: rescaled, then resized without passing through 8 bits, as torchvision does."""
    import numpy as np

    from tallow.borrowing import from_numpy
    from tallow.nn.functional import interpolate

    array = as_array(picture).astype(np.float32)
    if settings.do_rescale:
        array *= np.float32(settings.rescale_factor)
    if not settings.do_resize:
        return array
    size = _checked(picture, RULES[settings.kind.rule](*edges_of(picture), settings))
    mode = "bicubic" if settings.resample == 3 else "bilinear"
    planes = from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 0)[None]))
    small = interpolate(planes, size, mode=mode, align_corners=False, antialias=True)
    return np.moveaxis(small.numpy()[0], 0, -1)


def _checked(picture: Picture, size: tuple[int, int]) -> tuple[int, int]:
    height, width = size
    was = "{} × {}".format(*edges_of(picture))
    got = f"{height} × {width} from {was}"
    expect(height > 0 and width > 0, "resize", "at least one pixel a side", got, ArgumentError)
    wanted = f"at most {MAX_PIXELS} pixels"
    expect(height * width <= MAX_PIXELS, "resize", wanted, got, ArgumentError)
    return size


def _resized(picture: Picture, size: tuple[int, int], resample: int) -> Picture:
    import numpy as np

    height, width = _checked(picture, size)
    if isinstance(picture, pillow().Image) or picture.dtype == np.uint8:
        whole: Image = picture if isinstance(picture, pillow().Image) else to_pillow(picture)
        return whole.resize((width, height), resample)
    # transformers takes floats through 8 bits, and whole numbers stay there.
    small = np.asarray(to_pillow(picture).resize((width, height), resample))
    return small if float_range(picture) == 1 else scaled(small, 1 / 255)


def crop(picture: Picture, settings: Settings) -> Picture:
    """The middle of `crop_size`; what lies outside the picture is 0."""
    if not settings.do_center_crop:
        return picture
    return _middle(picture, settings.crop_size["height"], settings.crop_size["width"])


def crop_margin(picture: Picture, settings: Settings) -> Picture:
    """ConvNeXT: the middle square, where a margin was resized with it."""
    edge = settings.size.get("shortest_edge", 0)
    return _middle(picture, edge, edge) if settings.do_resize and edge < 384 else picture


def _middle(picture: Picture, height: int, width: int) -> Picture:
    tall, wide = edges_of(picture)
    return _window(picture, (tall - height) // 2, (wide - width) // 2, height, width)


def _window(
    picture: Picture, top: int, left: int, height: int, width: int, fill: Any = 0
) -> Picture:
    """A part of a picture, which may reach beyond it on each side."""
    import numpy as np

    array = as_array(picture)
    bottom, right = top + height, left + width
    inside = array[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if inside.shape[:2] == (height, width):
        return inside
    whole = np.empty((height, width, *array.shape[2:]), array.dtype)
    whole[:] = fill
    high, across = max(-top, 0), max(-left, 0)
    whole[high : high + inside.shape[0], across : across + inside.shape[1]] = inside
    return whole


def crop_or_pad(picture: Picture, settings: Settings) -> Picture:
    """timm: the middle of `size`; outside is 0, or the mean colour in the mode `border`."""
    tall, wide = edges_of(picture)
    height, width = settings.size["height"], settings.size["width"]

    def start(edge: int, cropped: int) -> int:
        return round((edge - cropped) / 2) if edge >= cropped else -((cropped - edge) // 2)

    border = settings.crop_mode == "border"
    fill = [round(255 * mean) for mean in settings.image_mean] if border else 0
    return _window(picture, start(tall, height), start(wide, width), height, width, fill)


def turn(picture: Picture, settings: Settings) -> Picture:
    """Donut: by a quarter where the picture lies and the page stands, or the other way round."""
    import numpy as np

    tall, wide = edges_of(picture)
    height, width = settings.size["height"], settings.size["width"]
    lies = (width < height and wide > tall) or (width > height and wide < tall)
    return np.rot90(as_array(picture), 3) if settings.do_align_long_axis and lies else picture


def thumbnail(picture: Picture, settings: Settings) -> Picture:
    """Donut: down to what fits the page, in proportion."""
    tall, wide = edges_of(picture)
    height, width = min(tall, settings.size["height"]), min(wide, settings.size["width"])
    if not settings.do_thumbnail or (height, width) == (tall, wide):
        return picture
    if tall > wide:
        width = int(wide * height / tall)
    elif wide > tall:
        height = int(tall * width / wide)
    return _resized(picture, (height, width), settings.resample or 3)  # 0 is none, to transformers


def center(picture: Picture, settings: Settings) -> Picture:
    """Donut: in the middle of a black page."""
    if not settings.do_pad:
        return picture
    tall, wide = edges_of(picture)
    height, width = settings.size["height"], settings.size["width"]
    wanted = f"at most {height} × {width} before it is padded"
    expect(tall <= height and wide <= width, "do_pad", wanted, f"{tall} × {wide}", ArgumentError)
    return _window(picture, -((height - tall) // 2), -((width - wide) // 2), height, width)


def scaled(array: Array, factor: float) -> Array:
    """The array times a factor, computed in f64 and kept in f32."""
    import numpy as np

    return (array.astype(np.float64) * factor).astype(np.float32)


def _rescale(array: Array, settings: Settings) -> Array:
    return scaled(array, settings.rescale_factor) if settings.do_rescale else array


def _normalize(array: Array, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    """Less the mean, by the deviation, of each channel in the first axis."""
    import numpy as np

    if array.dtype.kind != "f":
        array = array.astype(np.float32)
    shape = (3,) + (1,) * (array.ndim - 1)
    means, stds = (np.array(values, array.dtype).reshape(shape) for values in (mean, std))
    return (array - means) / stds  # type: ignore[no-any-return]


def _standard(array: Array, settings: Settings) -> Array:
    return _normal(_rescale(array, settings), settings)


def _normal(array: Array, settings: Settings) -> Array:
    if not settings.do_normalize:
        return array
    return _normalize(array, settings.image_mean, settings.image_std)


def _twice(array: Array, settings: Settings) -> Array:
    array = _rescale(array, settings)
    if settings.do_rescale and settings.rescale_offset:
        array -= 1
    array = _normal(array, settings)
    return _normalize(array, (0.0,) * 3, settings.image_std) if settings.include_top else array


def _in_f32(array: Array, settings: Settings) -> Array:
    import numpy as np

    array = array.astype(np.float32) / np.float32(255)
    return _normalize(array, settings.image_mean, settings.image_std)


def _lookup_step(function: Callable[[Array, Settings], Array]) -> Step:
    """The step that applies a function of (channel, value), to 256 values where that suffices."""

    def step(picture: Picture, settings: Settings) -> Array:
        import numpy as np

        channels = np.moveaxis(as_array(picture), -1, 0)
        if channels.dtype != np.uint8:
            return function(channels, settings).astype(np.float32, copy=False)
        values = np.repeat(np.arange(256, dtype=np.uint8)[None], 3, axis=0)
        table = function(values, settings).astype(np.float32, copy=False)
        result = np.empty(channels.shape, np.float32)
        for index, channel in enumerate(channels):
            table[index].take(channel, out=result[index], mode="clip")  # needs no buffer
        return result

    return step


def flip_channels(array: Array, settings: Settings) -> Array:
    """RGB to BGR."""
    return array[::-1] if settings.do_flip_channel_order else array


def pad_to_multiple(array: Array, settings: Settings) -> Array:
    """DPT: zeros on all sides up to multiples of `size_divisor`."""
    import numpy as np

    step = settings.size_divisor
    if not settings.do_pad or not step:
        return array
    missing = [-edge % step for edge in array.shape[-2:]]
    around = [(edge // 2, edge - edge // 2) for edge in missing]
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + around)


def patches(array: Array, settings: Settings) -> Array:
    """SigLIP 2: (patches, values of a patch by row, column and channel)."""
    edge = settings.patch_size
    rows, columns = array.shape[1] // edge, array.shape[2] // edge
    fits = (rows * edge, columns * edge) == array.shape[1:]
    expect(
        fits, "do_resize", f"true, or edges in multiples of {edge}", array.shape[1:], ArgumentError
    )
    grid = array.reshape(3, rows, edge, columns, edge)
    return grid.transpose(1, 3, 2, 4, 0).reshape(rows * columns, -1)


def square(picture: Picture, settings: Settings) -> Picture:
    """LLaVA: in the middle of a square of the mean colour."""
    if not settings.do_pad:
        return picture
    tall, wide = edges_of(picture)
    edge = max(tall, wide)
    fill = [int(255 * mean) for mean in settings.image_mean]
    return _window(picture, -((edge - tall) // 2), -((edge - wide) // 2), edge, edge, fill)


def merged_patches(array: Array, settings: Settings) -> Array:
    """Qwen-VL: (patches, values of a patch by channel, time, row and column).

    Patches that are merged later stand together, square by square.
    """
    import numpy as np

    edge, side, times = settings.patch_size, settings.merge_size, settings.temporal_patch_size
    block = edge * side
    rows, columns = array.shape[1] // block, array.shape[2] // block
    fits = (rows * block, columns * block) == array.shape[1:]
    wanted = f"true, or edges in multiples of {block}"
    expect(fits, "do_resize", wanted, array.shape[1:], ArgumentError)
    grid = array.reshape(3, rows, side, edge, columns, side, edge).transpose(1, 4, 2, 5, 0, 3, 6)
    grid = grid[:, :, :, :, :, None]
    grid = np.broadcast_to(grid, (*grid.shape[:5], times, edge, edge))
    return grid.reshape(rows * columns * side * side, -1)


def resize_to_frames(picture: Picture, settings: Settings) -> Picture:
    """Idefics 3: up to whole frames, or to one where pictures are not split."""
    edge, filter_ = settings.max_image_size["longest_edge"], settings.resample
    size = edge, edge
    if settings.do_image_splitting:
        size = whole_frames(*edges_of(picture), edge)
        frames = size[0] // edge * (size[1] // edge)
        wanted = f"at most {MAX_FRAMES} frames a picture"
        expect(frames <= MAX_FRAMES, "max_image_size", wanted, frames, ArgumentError)
    return _resized(picture, size, filter_)


def split(picture: Picture, settings: Settings) -> Array:
    """Idefics 3: (frames, height, width, 3), row by row, and the whole picture as the last one."""
    import numpy as np

    array, edge = as_array(picture), settings.max_image_size["longest_edge"]
    rows, columns = array.shape[0] // edge, array.shape[1] // edge
    if rows * columns == 1:
        return array[None]
    grid = array.reshape(rows, edge, columns, edge, 3).swapaxes(1, 2).reshape(-1, edge, edge, 3)
    whole = as_array(_resized(picture, (edge, edge), settings.resample))
    return np.concatenate([grid, whole[None]])


def frames_first(array: Array, settings: Settings) -> Array:
    """(3, frames, height, width) → (frames, 3, height, width)."""
    return array.swapaxes(0, 1)


STEPS: dict[str, Step] = {
    "resize": resize,
    "resize_smooth": resize_smooth,
    "crop": crop,
    "crop_margin": crop_margin,
    "crop_or_pad": crop_or_pad,
    "turn": turn,
    "thumbnail": thumbnail,
    "center": center,
    "rescale": _lookup_step(_rescale),
    "normalize": _lookup_step(_normal),
    "tones": _lookup_step(_standard),
    "tones_twice": _lookup_step(_twice),
    "tones_in_f32": _lookup_step(_in_f32),
    "flip_channels": flip_channels,
    "pad_to_multiple": pad_to_multiple,
    "patches": patches,
    "square": square,
    "merged_patches": merged_patches,
    "resize_to_frames": resize_to_frames,
    "split": split,
    "frames_first": frames_first,
}
