"""Limits for reading untrusted files, all in one place.

They are far above what real models have, and low enough that a file can't exhaust a machine's
memory or time. Importable without torch.
"""

from __future__ import annotations

MIB = 2**20

MAX_JSON_BYTES = 4 * MIB
"""For configurations and indexes; the largest, the index of a sharded model, has 0.3 MiB."""
MAX_SIDECAR_BYTES = MIB
MAX_NOTE_BYTES = 64 * 2**10
"""For the YAML beside a checkpoint, which has about 5 KiB."""
MAX_NOTE_LISTS = 300
"""Bracketed lists in that YAML, which has about 15; PyYAML takes a minute for 1,000 nested ones."""
MAX_DEPTH = 64
"""How deep JSON lists and objects may be nested."""
MAX_DIGITS = 40
"""Digits of a whole number; transformers writes 1000000000000000019884624838656 for "no limit"."""

MAX_HEADER_BYTES = 64 * MIB
MAX_HEADER_VALUES = 2_000_000
"""Lists, objects and commas in a safetensors header: a value takes up to 100 bytes of memory."""
MAX_TENSORS = 50_000
"""An SDXL checkpoint has 2,500 tensors, its training state four times as many."""
MAX_NAME_CHARACTERS = 1_000
MAX_DIMENSIONS = 16
MAX_NUMBERS = 2**62
"""The most numbers that a tensor, or one side of its shape, may claim."""

MAX_GGUF_NOTES = 10_000
MAX_GGUF_TEXT_BYTES = MIB
MAX_GGUF_LIST = 2_000_000
"""The vocabulary of a language model has 256,000 entries."""

MAX_PICKLE_BYTES = 64 * MIB
MAX_PICKLE_STEPS = 1_500_000
"""Instructions of a pickle: about 40 for each tensor."""
MAX_TABLE_DEPTH = 16
MAX_ZIP_DIRECTORY_BYTES = 8 * MIB
MAX_SHARING = 4
"""How many times larger than their file tensors may be in total, since some share storage."""
SHARING_SPARE_BYTES = 64 * MIB

MAX_READER_BYTES = 2**30
"""The memory of the process that reads headers, where the system can limit it."""
MAX_FILE_SECONDS = 15.0
"""How long that process may take for one file."""
MAX_WASTED_SECONDS = 20.0
"""How long one scan may spend on files that turn out to be unusable; the next scan reads the rest.
"""
MAX_REASON_CHARACTERS = 500

MAX_CONFIG_NUMBER = 20_000_000
"""For any whole number in a network's configuration that none of the limits below covers."""
MAX_CONFIG_LIST = 10_000
MAX_LAYERS = 1_000
MAX_TIMESTEPS = 100_000
"""Schedulers allocate a table of this length; nearly all have 1,000."""
MAX_POSITIONS = 4_000_000
MAX_IMAGE_SIDE = 8_192
MAX_PROMPT_TOKENS = 10_000
MAX_VOCABULARY_BYTES = 128 * MIB
"""For any file beside weights; the vocabulary of a large language model has 33 MB."""

MAX_TOKENIZER_BYTES = 4 * 2**30
"""The memory of the process that tries a tokenizer."""
MAX_TOKENIZER_SECONDS = 60

MAX_DETECTOR_MEMORY_BYTES = 2 * 2**30
"""The memory of the process that tries a face detector; YuNet takes 0.1 GiB."""
MAX_DETECTOR_SECONDS = 30
