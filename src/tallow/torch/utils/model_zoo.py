"""torch.utils.model_zoo: the older place of torch.hub's download."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch.hub": "load_url=load_state_dict_from_url load_state_dict_from_url "
        "download_url_to_file _download_url_to_file=download_url_to_file tqdm"
    },
)
