"""One array for a batch: pictures of one size, padded ones with a mask, padded lists of patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.errors import ShapeError, expect

if TYPE_CHECKING:
    import numpy as np

    from tallow.vision.settings import Settings

    Array = np.ndarray[Any, Any]


def stacked(arrays: list[Array]) -> Array:
    """The arrays under one new axis."""
    import numpy as np

    shapes = sorted({array.shape for array in arrays})
    wanted = "pictures that come to one size, or a batch of one"
    expect(len(shapes) == 1, "ImageProcessor", wanted, shapes)
    return np.stack(arrays)


def padded(arrays: list[Array], size: Mapping[str, int]) -> dict[str, Array]:
    """Zeros to the right and below, up to `size` or the largest; the mask is 0 there."""
    import numpy as np

    tall, wide = (max(array.shape[axis] for array in arrays) for axis in (1, 2))
    height, width = size.get("height", tall), size.get("width", wide)
    wanted = f"pictures of at most {height} × {width}"
    expect(tall <= height and wide <= width, "pad_size", wanted, f"{tall} × {wide}", ShapeError)
    values = np.zeros((len(arrays), 3, height, width), np.float32)
    mask = np.zeros((len(arrays), height, width), np.int64)
    for index, array in enumerate(arrays):
        window = np.s_[..., : array.shape[1], : array.shape[2]]
        values[index][window] = array
        mask[index][window] = 1
    return {"pixel_values": values, "pixel_mask": mask}


def padded_patches(
    arrays: list[Array], sizes: list[tuple[int, int]], settings: Settings
) -> dict[str, Array]:
    """SigLIP 2: `max_num_patches` patches a picture, the mask 0 on those that are padding."""
    import numpy as np

    most, edge = settings.max_num_patches, settings.patch_size
    longest = max(len(array) for array in arrays)
    expect(longest <= most, "max_num_patches", f"at most {most} patches", longest, ShapeError)
    values = np.zeros((len(arrays), most, arrays[0].shape[1]), np.float32)
    mask = np.zeros((len(arrays), most), np.int32)
    for index, array in enumerate(arrays):
        values[index, : len(array)] = array
        mask[index, : len(array)] = 1
    shapes = np.array([(height // edge, width // edge) for height, width in sizes], np.int64)
    return {"pixel_values": values, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def behind(
    arrays: list[Array], sizes: list[tuple[int, int]], settings: Settings
) -> dict[str, Array]:
    """Qwen-VL: the patches of all pictures, and each one's times, rows and columns of patches."""
    import numpy as np

    edge = settings.patch_size
    grids = [(1, height // edge, width // edge) for height, width in sizes]
    return {"pixel_values": np.concatenate(arrays), "image_grid_thw": np.array(grids, np.int64)}


def with_sizes(arrays: list[Array], *, pad: bool) -> dict[str, Array]:
    """Pixtral: zeros to the right and below, and the height and width of each picture."""
    import numpy as np

    sizes = np.array([array.shape[1:] for array in arrays], np.int64)
    values = padded(arrays, {})["pixel_values"] if pad else stacked(arrays)
    return {"pixel_values": values, "image_sizes": sizes}


def frames(
    arrays: list[Array], sizes: list[tuple[int, int]], settings: Settings
) -> dict[str, Array]:
    """Idefics 3: the frames of all pictures, with the rows and columns of each; 0 for one frame."""
    import numpy as np

    edge = settings.max_image_size["longest_edge"]
    grids = np.array([(height // edge, width // edge) for height, width in sizes], np.int64)
    grids[grids.prod(1) == 1] = 0
    values = np.concatenate(arrays)[None]
    found = {"pixel_values": values, "rows": grids[None, :, 0], "cols": grids[None, :, 1]}
    if settings.do_pad:
        found["pixel_attention_mask"] = np.ones((*values.shape[:2], edge, edge), np.int64)
    return found
