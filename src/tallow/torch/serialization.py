"""torch.serialization: save, load, and the classes that a file may name."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch._saving": (
            "save load safe_globals add_safe_globals get_safe_globals clear_safe_globals "
            "get_unsafe_globals_in_checkpoint SourceChangeWarning"
        )
    },
    answers={
        "get_default_load_endianness": None,
        "set_default_load_endianness": None,
        "get_default_mmap_options": 2,
        "set_default_mmap_options": None,
        "register_package": None,
        "get_crc32_options": True,
        "set_crc32_options": None,
    },
    refuses={"it is not supported": "skip_data location_tag normalize_storage_type"},
)
