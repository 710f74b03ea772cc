"""The limits of whatever reads files from strangers, in one place.

They are far beyond what real models have, and low enough that a file can't use up a machine's
memory or time. Importable without torch.
"""

from __future__ import annotations

MIB = 2**20

MAX_JSON_BYTES = 4 * MIB
"""Configurations and indexes; the largest, the index of a model in many pieces, has 0.3 MiB."""
MAX_SIDECAR_BYTES = MIB
MAX_NOTE_BYTES = 64 * 2**10
"""The YAML beside a checkpoint, which has about 5 KiB."""
MAX_NOTE_LISTS = 300
"""In brackets; it has about 15. PyYAML takes a minute for a thousand that lie in each other."""
MAX_DEPTH = 64
"""How deep lists and tables may lie in each other."""
MAX_DIGITS = 40
"""Of a whole number; transformers writes 1000000000000000019884624838656 for "no limit"."""

MAX_HEADER_BYTES = 64 * MIB
MAX_HEADER_VALUES = 2_000_000
"""Lists, tables and commas in the header of a safetensors file: a value takes up to 100 bytes."""
MAX_TENSORS = 50_000
"""A checkpoint of SDXL has 2,500, a training's state of it four times as many."""
MAX_NAME_CHARACTERS = 1_000
MAX_DIMENSIONS = 16
MAX_NUMBERS = 2**62
"""How many numbers a tensor, or one side of it, may claim."""

MAX_GGUF_NOTES = 10_000
MAX_GGUF_TEXT_BYTES = MIB
MAX_GGUF_LIST = 2_000_000
"""The vocabulary of a language model has 256,000 texts."""

MAX_PICKLE_BYTES = 64 * MIB
MAX_PICKLE_STEPS = 1_500_000
"""Instructions of a pickle: about 40 for each tensor."""
MAX_TABLE_DEPTH = 16
MAX_ZIP_DIRECTORY_BYTES = 8 * MIB
MAX_SHARING = 4
"""How many times larger than their file tensors may be together, because some share numbers."""
SHARING_SPARE_BYTES = 64 * MIB

MAX_READER_BYTES = 2**30
"""The memory of the process that reads headers (where the system can limit it)."""
MAX_FILE_SECONDS = 15.0
"""How long that process may take for one file."""
MAX_WASTED_SECONDS = 20.0
"""How long one look at the models folders may take for files that turn out to be of no use; those
that are left are read at the next look."""
MAX_REASON_CHARACTERS = 500

MAX_CONFIG_NUMBER = 20_000_000
"""Of any whole number in the configuration of a network that isn't of one of the kinds below."""
MAX_CONFIG_LIST = 10_000
MAX_LAYERS = 1_000
MAX_TIMESTEPS = 100_000
"""Schedulers make a table of so many numbers; nearly all have 1,000."""
MAX_POSITIONS = 4_000_000
MAX_IMAGE_SIDE = 8_192
MAX_PROMPT_TOKENS = 10_000
MAX_VOCABULARY_BYTES = 128 * MIB
"""Any file beside weights; the vocabulary of a large language model has 33 MB."""

MAX_TOKENIZER_BYTES = 4 * 2**30
"""The memory of the process that tries a tokenizer."""
MAX_TOKENIZER_SECONDS = 60

MAX_DETECTOR_MEMORY_BYTES = 2 * 2**30
"""The memory of the process that tries a face detector; YuNet takes 0.1 GiB."""
MAX_DETECTOR_SECONDS = 30
