"""Sentences about weight files: why one can't be read, or isn't safe."""

from __future__ import annotations

# Hashing.


def hashing_cancelled(name: str) -> str:
    return f"Hashing {name} was cancelled."


def unreadable(name: str, reason: str | None) -> str:
    return f"{name} can't be read: {reason}."


def no_weight_file(name: str) -> str:
    return f"The weight file {name} doesn't exist."


# Headers.


def not_usable(name: str, form: str, reason: object) -> str:
    return f"{name} isn't a usable {form} file: {reason}."


def not_usable_safetensors(reason: object) -> str:
    return f"This isn't a usable safetensors file: {reason}."


def unreadable_safetensors(name: str, reason: object) -> str:
    return f"{name} isn't a readable safetensors file: {reason}."


def unknown_format(name: str, start: bytes) -> str:
    return (
        f"{name} isn't a safetensors, GGUF or torch file: it begins with {start!r}. Get the "
        ".safetensors version."
    )


def replaced_while_opening(name: str) -> str:
    return f"{name} was replaced while it was being opened."


def damaged(name: str, reason: object) -> str:
    return f"{name} is damaged: {reason}."


def cut_off_while_reading(name: str) -> str:
    return f"{name} was cut off while it was being read."


def changed_while_reading(name: str) -> str:
    return f"{name} was changed while it was being read. Load it again once it is complete."


def damaged_tokenizer(what: str, reason: object) -> str:
    return f"{what} can't be read; its tokenizer is damaged: {reason}"


# Pickles.


def only_unsafe_weights(folder: object, name: str) -> str:
    return (
        f"{folder} has no weights but {name}, whose format could run code or is unknown. Get the "
        ".safetensors version."
    )


def is_a_pickle(name: str) -> str:
    return (
        f"{name} is a pickle, a format that could run code when it is read, whatever its suffix. "
        "Get the .safetensors version, or convert it."
    )


def pickle_with_more(name: str, found: object) -> str:
    return (
        f"{name} is a pickle that contains more than tensors ({found}) and could run code. It was "
        "not run. Get the .safetensors version."
    )


def damaged_weights(name: str, reason: str) -> str:
    return (
        f"{name} is damaged or isn't a weight file: {reason}. Download it again, or get the "
        ".safetensors version."
    )


def compressed_in_it(name: str) -> str:
    return f"{name} in it is compressed"


def two_sizes_in_it(name: str) -> str:
    return f"{name} in it has two sizes"


# What a file contains.


def for_width(what: str, width: int) -> str:
    return f"{what} for text embeddings of width {width:,}"


def fits_no_family(reason: str) -> str:
    return f"{reason}, which fits no supported family"


# Reasons, which go into a sentence.

NOT_GGUF = "it doesn't begin with GGUF"
TENSORS_OVERLAP = "its tensors overlap"
CUT_OFF_IN_HEADER = "it is cut off in its header"
TENSOR_TOO_LARGE = "it has a tensor that is larger than any file"
NOT_ONNX = "it is damaged, or isn't an ONNX file"
NUMBER_TOO_LONG = "a number of more than ten bytes"
EMPTY_STACK = "its stack is empty"
REFERS_TO_NOTHING_STORED = "it refers to an object that it never stored"
FUNCTION_NAME_NOT_TEXT = "it refers to a function whose name isn't text"
MODIFIES_NO_TABLE = "it modifies an object that isn't a table"
CALL_WITHOUT_ARGUMENTS = "it makes a call without a tuple of arguments"
CALLS_NO_FUNCTION = "it calls an object that isn't a function"
APPENDS_TO_NO_LIST = "it appends to an object that isn't a list"
ADDS_TO_NO_TABLE = "it adds entries to an object that isn't a table"
TABLE_OF_OTHER_THINGS = "it builds a table from something other than keys and values"
IMPOSSIBLE_SHAPE = "a tensor in it has an impossible shape"
TENSOR_WITHOUT_STORAGE = "a tensor has no storage"
TENSOR_REBUILT_UNKNOWN_WAY = "a tensor is rebuilt in an unknown way"
REFERS_TO_NO_TENSOR = "it refers to something that isn't a tensor"
STORAGE_WITHOUT_NAME = "it refers to a storage that has no name"
CUT_OFF = "it is cut off"
TENSOR_CLAIMS_MORE = "a tensor in it claims more data than is stored"
NOT_ENOUGH_MEMORY = "it asks for more memory than is available"
OTHER_CHECKSUM = "its checksum doesn't match its content"
INCONSISTENT = "its data is inconsistent or incomplete"
NO_TABLE_OF_TENSORS = "it contains no table of tensors"
NO_DATA_PKL = "it contains no data.pkl"
TABLE_TOO_LARGE = "its table of tensors is too large"
TENSORS_CLAIM_MORE = "its tensors claim more data than it contains"
NOT_BY_TORCH = "it wasn't written by torch"
NO_STORAGE_LIST = "it has no list of its storages"
IS_LFS_POINTER = (
    "is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`, or download it again"
)
IS_WEB_PAGE = "is a web page: the download needed a login or failed, so download it again"
IS_HDF5 = "is an HDF5 file (TensorFlow, Keras): get the .safetensors version"
IS_EMPTY = "it is empty: the download failed, so download it again"
FORMAT_UNKNOWN = "its format is unknown"
HEADER_NOT_AN_OBJECT = "its header isn't a JSON object"
METADATA_NOT_AN_OBJECT = "its metadata isn't a JSON object"


def blocked_attempt(event: object) -> str:
    return f"reading it attempted {event}, which was blocked"


def other_gguf_version(version: object) -> str:
    return f"it has version {version}; only 2 and 3 are supported"


def claims_too_many(tensors: int, notes: int, most_tensors: int, most_notes: int) -> str:
    return (
        f"it claims {tensors:,} tensors and {notes:,} notes; at most {most_tensors:,} and "
        f"{most_notes:,} are read"
    )


def header_too_large(most: int) -> str:
    return f"its header has more than {most:,} bytes"


def claims_long_text(length: int, most: int) -> str:
    return f"it claims a text of {length:,} bytes; at most {most:,} are read"


def note_list_too_long(name: object, count: int, most: int) -> str:
    return f"its note {name!r:.80} is a list of {count:,}; at most {most:,} are read"


def note_list_of_unknown_type(name: object) -> str:
    return f"its note {name!r:.80} is a list of an unknown type"


def note_of_unknown_type(kind: object) -> str:
    return f"it has a note of the unknown type {kind}"


def too_many_dimensions(dimensions: int, most: int) -> str:
    return f"it has a tensor of {dimensions:,} dimensions; at most {most} are read"


def more_bytes_than(most: int) -> str:
    return f"it has more than {most:,} bytes"


def number_too_long(digits: int, most: int) -> str:
    return f"it has a number of {digits:,} digits; at most {most} are read"


def nested_too_deep(most: int) -> str:
    return f"it is nested more than {most} levels deep"


def it_is_unreadable(reason: object) -> str:
    return f"it can't be read: {reason}"


def more_instructions_than(most: int) -> str:
    return f"it has more than {most:,} instructions"


def needless_instruction(name: object) -> str:
    return f"it contains the instruction {name}, which no weight file needs"


def pickle_too_large(most: int) -> str:
    return f"its pickle has more than {most:,} bytes"


def refers_to(module: object, name: object) -> str:
    return f"it refers to {module}.{name}"


def tensors_take_more(total: int, size_bytes: int) -> str:
    return f"the tensors in it would take {total:,} bytes, but it has only {size_bytes:,}"


def tables_nested_too_deep(most: int) -> str:
    return f"its tables are nested more than {most} levels deep"


def name_in_it_too_long(most: int) -> str:
    return f"a name in it has more than {most:,} characters"


def more_tensors_than(most: int) -> str:
    return f"there are more than {most:,} tensors in it"


def zip_directory_too_large(size_bytes: int, most: int) -> str:
    return f"its zip directory has {size_bytes:,} bytes; at most {most:,} are read"


def claims_large_header(length: int, most: int) -> str:
    return f"it claims a header of {length:,} bytes; at most {most:,} are read"


def more_header_values_than(most: int) -> str:
    return f"its header has more than {most:,} values"


def lists_too_many_tensors(count: int, most: int) -> str:
    return f"it lists {count:,} tensors; no model has more than {most:,}"


def tensor_name_too_long(length: int, most: int) -> str:
    return f"a tensor's name has {length:,} characters; at most {most:,} are read"


def invalid_entry(name: object) -> str:
    return f"its header entry for {name!r:.80} isn't a valid tensor"


def entry_of_other_size(name: object, count: int, dtype: object, size_bytes: int) -> str:
    return (
        f"its header entry for {name!r:.80} isn't a valid tensor: {count:,} numbers of {dtype} "
        f"don't take {size_bytes:,} bytes"
    )


def tensors_overlap(before: object, name: object) -> str:
    return f"its tensors {before!r:.80} and {name!r:.80} overlap"


def damaged_or_cut_off(wanted: int, size_bytes: int) -> str:
    return f"it is damaged or cut off: it should have {wanted:,} bytes, and has {size_bytes:,}"


def unsupported_number_type(dtype: object) -> str:
    return f"numbers of type {dtype!r:.40} aren't supported"


def reading_took_longer(seconds: float) -> str:
    return f"reading it took longer than {seconds:g} seconds"


def crashed_its_process(status: object) -> str:
    return f"it crashed the process that tried it (status {status})"
