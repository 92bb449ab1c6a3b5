"""transformers' image processors on Pillow, by type."""

import transformers.utils
from transformers.utils import import_utils

try:
    import torchvision  # noqa: F401
except ImportError:
    pass
except RuntimeError:  # one that was built for another torch; the processors on Pillow need none
    transformers.utils.is_torchvision_available = lambda: False
    import_utils.is_torchvision_available = lambda: False

from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name


def reference(config):
    """The processor of transformers for one of our configs."""
    config = dict(config)
    name = config.pop("image_processor_type")
    return get_image_processor_class_from_name(f"{name}Pil")(**config)
