"""Files that try to hang, crash or fill up whatever looks into them. Each is tiny, or sparse.

`HOSTILE` maps a name to what writes one: it takes an empty folder and returns the path that should
be listed as unusable.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Writer = Callable[[Path], Path]

MIB = 2**20
DEEP = 100_000


# -- pickles ----------------------------------------------------------------------------------


def zipped(stream: bytes, *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A pickle in a zip, as torch writes them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("x/data.pkl", stream)
    return buffer.getvalue()


def doubled_tuples(levels: int = 60) -> bytes:
    """A tuple of two of a tuple of two ...: small in memory, but whoever hashes or prints it walks
    through 2 ** levels."""
    return b")" + b"2\x86" * levels


def text(value: str) -> bytes:
    """How a pickle says a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def tensor(
    key: bytes = text("0"),
    *,
    count: bytes = b"K\x01",
    shape: bytes = b"K\x01\x85",
    stride: bytes = b"K\x01\x85",
) -> bytes:
    """How a pickle says a tensor; the arguments are pickles of what is in it."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + key + text("cpu") + count + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + stride + b"\x89}tR"
    )


def table(*pairs: tuple[bytes, bytes]) -> bytes:
    """A whole pickle of a dictionary."""
    return b"\x80\x02}" + b"".join(key + value + b"s" for key, value in pairs) + b"."


LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
"""How torch's files began before 1.6."""

SMALL = table((text("a"), tensor()))


def shared_storage(tensors: int = 2000, count: int = 10**6) -> bytes:
    """A real checkpoint whose tensors are all cut from one storage."""
    number = b"J" + struct.pack("<i", count)
    one = tensor(count=number, shape=number + b"\x85", stride=b"K\x01\x85")
    stream = table(*((text(f"layer.{i}.weight"), one) for i in range(tensors)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", stream)
        archive.writestr("x/data/0", bytes(4 * count))
    return buffer.getvalue()


def many_members(count: int = 300_000) -> bytes:
    """A zip with a directory of very many files of no bytes."""
    entry = struct.pack(
        "<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0
    )
    directory = (entry + b"x") * count
    start = b"PK\x03\x04" + bytes(26)
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), len(start), 0
    )
    return start + directory + end


PICKLES: Mapping[str, bytes] = {
    "nested tuples as a key": table((doubled_tuples(), b"K\x01")),
    "nested tuples as a key in a zip": zipped(table((doubled_tuples(), b"K\x01"))),
    "nested tuples in a set": b"\x80\x04\x8f(" + doubled_tuples() + b"\x90.",
    "nested tuples in a frozen set": b"\x80\x04(" + doubled_tuples() + b"\x91.",
    "nested tuples as a storage's key": zipped(
        table((text("a"), tensor(doubled_tuples()))),
    ),
    "nested tuples as a storage's place": LEGACY
    + table((text("a"), tensor()))
    + b"\x80\x02("
    + doubled_tuples()
    + b"l.",
    "nested tuples as a class": b"\x80\x04" + doubled_tuples() + text("x") + b"\x93.",
    "nested tuples as a shape": zipped(table((text("a"), tensor(shape=doubled_tuples())))),
    "nested tuples as a count": zipped(table((text("a"), tensor(count=doubled_tuples())))),
    "a huge place in the memo": b"\x80\x02r\xf0\xff\xff\x2f.",
    "a huge place in the memo, in a zip": zipped(b"\x80\x02Nr\xf0\xff\xff\x2f."),
    "a huge frame": b"\x80\x04\x95" + struct.pack("<Q", 2**36) + b"}.",
    "a huge text": b"\x80\x04\x8d" + struct.pack("<Q", 2**35) + b"}.",
    "a huge run of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**35) + b"}.",
    "a huge array of bytes": b"\x80\x05\x96" + struct.pack("<Q", 2**35) + b"}.",
    "a huge number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"}.",
    "a number of many digits": zipped(
        table((text("a"), tensor(count=b"I" + b"9" * 100_000 + b"\n")))
    ),
    "a long number as a side": zipped(
        table((text("a"), tensor(shape=b"\x8b\x28\x23\0\0" + b"\x7f" * 9000 + b"\x85")))
    ),
    "a bomb of lists": zipped(
        b"\x80\x02(" + b"]" * (60 * MIB) + b"l.", compression=zipfile.ZIP_DEFLATED
    ),
    "a bomb of sets": zipped(
        b"\x80\x04(" + b"\x8f" * (20 * MIB) + b"l.", compression=zipfile.ZIP_DEFLATED
    ),
    "very many lists": b"\x80\x02(" + b"]" * (8 * MIB) + b"l.",
    "very many marks": b"\x80\x02" + b"(" * (8 * MIB) + b".",
    "a bomb in a storage": zipped(SMALL, compression=zipfile.ZIP_DEFLATED),
    "a list in a list in a list": b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "a table in itself": zipped(b"\x80\x02}q\x00" + text("a") + b"h\x00s."),
    "a deep table": zipped(b"\x80\x02" + (b"}" + text("a")) * DEEP + b"K\x01" + b"s" * DEEP + b"."),
    "a table of long names": zipped(
        b"\x80\x02" + text("n" * MIB) + b"q\x000" + b"}h\x00" * 2000 + tensor() + b"s" * 2000 + b"."
    ),
    "tables copied again and again": zipped(
        b"\x80\x02}q\x00("
        + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(20_000))
        + b"u("
        + b"ctorch.nn.modules.container\nParameterDict\n)\x81}X\x0b\x00\x00\x00_parametersh\x00sb"
        * 20_000
        + b"l."
    ),
    "a storage that isn't one": zipped(b"\x80\x02NQ."),
    "a storage of two parts": zipped(b"\x80\x02(K\x01K\x02tQ."),
    "a tensor of one argument": zipped(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN\x85R."),
    "negative sides": zipped(table((text("a"), tensor(shape=b"J\xff\xff\xff\xff\x85")))),
    "a stack that is empty": zipped(b"\x80\x02ss."),
    "a stop without anything": b"\x80\x02.",
    "an opcode that isn't one": b"\x80\x02\xff.",
    "an extension": b"\x80\x02\x82\x01.",
    "an array, not a table": zipped(b"\x80\x02]."),
    "a pickle of nothing": zipped(b""),
    "a zip of very many files": many_members(),
    "a zip cut off": zipped(SMALL)[:-30],
    "a zip in which data.pkl is twice": zipped(SMALL)[:40] + zipped(SMALL),
    "tensors that share a storage": shared_storage(),
    "code": pickle.dumps(getattr),
    "an optimizer's code": zipped(b"\x80\x02cposix\nsystem\n" + text("true") + b"\x85R."),
}


# -- safetensors ------------------------------------------------------------------------------


def safetensors(header: str | bytes, data_bytes: int = 0) -> bytes:
    """A file with this header, and zeros behind it."""
    data = header if isinstance(header, bytes) else header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data + bytes(data_bytes)


def entry(shape: Any = (1,), start: Any = 0, end: Any = 4, dtype: Any = "F32") -> dict[str, Any]:
    """How a header says a tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def of(**tensors: Any) -> bytes:
    """A safetensors file whose header is this, with 4 bytes of data."""
    return safetensors(json.dumps(tensors), 4)


HEADERS: Mapping[str, bytes] = {
    "lists of nothing": safetensors('{"a":[' + "[]," * (10 * MIB) + "[]]}"),
    "lists of nothing, 60 MiB": safetensors('{"a":[' + "[]," * (20 * MIB) + "[]]}"),
    "very many numbers": safetensors('{"a":[' + "1," * (30 * MIB) + "1]}"),
    "very many names": safetensors("{" + ",".join(f'"{i}":{{}}' for i in range(1_000_000)) + "}"),
    "very many tensors": safetensors(
        json.dumps({str(i): entry() for i in range(300_000)}, separators=(",", ":")), 4
    ),
    "a long name": safetensors(json.dumps({"n" * (8 * MIB): entry()}), 4),
    "a long name of a text encoder": safetensors(
        json.dumps({"lora_te_" + "q_proj." * MIB: entry()}), 4
    ),
    "overlapping tensors": safetensors(
        json.dumps({f"{i}.weight": entry((10**6,), 0, 4 * 10**6) for i in range(2000)}), 4 * 10**6
    ),
    "overlapping tensors as the library writes": safetensors(
        json.dumps(
            {f"{i}.weight": entry((10**6,), 0, 4 * 10**6) for i in range(2000)},
            separators=(",", ":"),
        ),
        4 * 10**6,
    ),
    "deep lists": safetensors('{"a":' + "[" * DEEP + "]" * DEEP + "}"),
    "deep tables": safetensors('{"a":' * DEEP + "1" + "}" * DEEP),
    "a list as header": safetensors("[1]"),
    "a tensor that is a number": of(a=1),
    "a tensor that is a list": of(a=[1, 2]),
    "a tensor without a shape": of(a={"dtype": "F32", "data_offsets": [0, 4]}),
    "a tensor without offsets": of(a={"dtype": "F32", "shape": [1]}),
    "one offset": of(a={"dtype": "F32", "shape": [1], "data_offsets": [0]}),
    "three offsets": of(a={"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}),
    "offsets that are texts": of(a=entry(start="0", end="4")),
    "offsets that are lists": of(a=entry(start=[], end=[])),
    "infinite offsets": of(a=entry(end=float("inf"))),
    "offsets that are no numbers": of(a=entry(end=float("nan"))),
    "negative offsets": of(a=entry(start=-4, end=0)),
    "offsets in the wrong order": of(a=entry(start=4, end=0)),
    "a negative side": of(a=entry((-1,))),
    "a side that is true": of(a=entry((True,))),
    "a side that is infinite": of(a=entry((float("inf"),))),
    "a shape that is a number": of(a=entry(1)),
    "a shape that is a table": of(a=entry({"a": 1})),
    "a huge side": safetensors(
        '{"a":{"dtype":"F32","shape":[' + "9" * 4000 + '],"data_offsets":[0,4]}}', 4
    ),
    "huge offsets": safetensors(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,' + "9" * 4000 + "]}}", 4
    ),
    "a number of many digits": safetensors('{"a":' + "9" * MIB + "}"),
    "very many sides": of(a=entry([1] * 100_000)),
    "sides of a huge product": of(a=entry([2**62] * 64, 0, 4)),
    "a dtype that is a list": of(a=entry(dtype=["F32"])),
    "a dtype that is nothing": of(a=entry(dtype=None)),
    "a shape that doesn't fit its bytes": of(a=entry((1000,))),
    "notes that are a number": of(__metadata__=1, a=entry()),
    "notes that are a list": of(__metadata__=["a"], a=entry()),
    "deep tags": safetensors(
        json.dumps({"__metadata__": {"ss_tag_frequency": "[" * DEEP}, "a": entry(dtype="F64")}),
        4,
    ),
    "half of a letter in a name": safetensors(json.dumps({"\ud800\n<b>": entry((9,))}), 4),
    "not Unicode": safetensors(b'{"\xff\xfe":1}'),
    "a header of nothing": safetensors("{}"),
    "spaces": safetensors("{" + " " * (30 * MIB) + "}"),
    "no bytes": b"",
    "a few bytes": b"abc",
    "a length and nothing": struct.pack("<Q", 2**63),
    "a web page": b"<!DOCTYPE html><html>please log in</html>",
}


# -- GGUF -------------------------------------------------------------------------------------


def gguf(tensors: int, notes: int, rest: bytes = b"", version: int = 3) -> bytes:
    """The head of a GGUF file that claims so many tensors and notes."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, notes) + rest


def _gguf_text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


GGUFS: Mapping[str, bytes] = {
    "very many tensors": gguf(2**62, 0),
    "very many notes": gguf(0, 2**62),
    "a huge text": gguf(0, 1, struct.pack("<Q", 2**62)),
    "a huge list": gguf(0, 1, _gguf_text(b"a") + struct.pack("<IIQ", 9, 0, 2**62)),
    "a huge list of texts": gguf(0, 1, _gguf_text(b"a") + struct.pack("<IIQ", 9, 8, 2**25)),
    "a list of empty texts": gguf(
        0, 1, _gguf_text(b"a") + struct.pack("<IIQ", 9, 8, 6 * MIB) + bytes(8 * 6 * MIB)
    ),
    "a list of lists": gguf(0, 1, _gguf_text(b"a") + struct.pack("<IIQ", 9, 9, 2)),
    "a note of an unknown type": gguf(0, 1, _gguf_text(b"a") + struct.pack("<I", 77)),
    "a tensor of many dimensions": gguf(1, 0, _gguf_text(b"a") + struct.pack("<I", 2**31)),
    "a tensor of huge sides": gguf(
        1, 0, _gguf_text(b"a") + struct.pack("<I8Q", 8, *[2**63] * 8) + struct.pack("<IQ", 0, 0)
    ),
    "overlapping tensors": gguf(
        2000,
        0,
        b"".join(_gguf_text(b"%d" % i) + struct.pack("<IQIQ", 1, 10**6, 0, 0) for i in range(2000))
        + bytes(4 * 10**6 + 64),
    ),
    "version 99": gguf(0, 0, version=99),
    "nothing": b"GGUF",
}


# -- folders ----------------------------------------------------------------------------------

JSONS: Mapping[str, bytes] = {
    "deep lists": b"[" * DEEP,
    "deep tables": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "depth of 900": b'{"_class_name":' + b"[" * 900 + b"]" * 900 + b"}",
    "a huge number": b'{"_class_name":' + b"9" * 4000 + b"}",
    "a number of many digits": b'{"_class_name":' + b"9" * MIB + b"}",
    "large": b'{"a":"' + b"x" * (20 * MIB) + b'"}',
    "lists of nothing": b'{"a":[' + b"[]," * (10 * MIB) + b"[]]}",
    "a list": b"[1]",
    "nothing": b"",
    "not Unicode": b'{"\xff": 1}',
    "UTF-16": '{"_class_name": "x"}'.encode("utf-16"),
    "half of a letter": b'{"_class_name": "\\ud800<b>\\n"}',
    "a list as class": b'{"_class_name": ["os", "system"]}',
    "a table as class": b'{"_class_name": {"a": 1}}',
    "nonsense": b"\x00" * 100,
}

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "a huge scaling factor": {"_class_name": "AutoencoderKL", "scaling_factor": 10**400},
    "a list of latents": {"_class_name": "AutoencoderKL", "latent_channels": [4]},
    "true latents": {"_class_name": "AutoencoderTiny", "latent_channels": True},
    "huge latents": {"_class_name": "AutoencoderTiny", "latent_channels": 10**400},
    "a list of words' width": {"_class_name": "ControlNetModel", "cross_attention_dim": [768]},
    "a table of words' width": {"_class_name": "ControlNetModel", "cross_attention_dim": {}},
    "architectures of lists": {"architectures": [[["x"]]]},
    "negative widths": {
        "_class_name": "CLIPVisionModelWithProjection",
        "projection_dim": -1,
        "hidden_size": 10**400,
    },
}


def _json_folder(name: str, content: bytes, weights: str = "") -> Writer:
    def write(folder: Path) -> Path:
        model = folder / "a model"
        model.mkdir()
        (model / name).write_bytes(content)
        if weights:
            (model / weights).write_bytes(of(a=entry()))
        return model

    return write


# -- what isn't a file ------------------------------------------------------------------------


def _fifo(name: str) -> Writer:
    def write(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return write


def _link(name: str, target: str) -> Writer:
    def write(folder: Path) -> Path:
        (folder / name).symlink_to(target)
        return folder / name

    return write


def _socket(folder: Path) -> Path:
    path = folder / "socket.safetensors"
    here = Path.cwd()
    os.chdir(folder)  # a socket's address has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)
    return path


def _directory(name: str) -> Writer:
    def write(folder: Path) -> Path:
        (folder / name).mkdir()
        return folder / name

    return write


def _in_model(name: str, make: Callable[[Path], object]) -> Writer:
    """A folder in which the file of this name is made by `make`."""

    def write(folder: Path) -> Path:
        model = folder / "a model"
        model.mkdir()
        make(model / name)
        return model

    return write


def _part_with(make: Callable[[Path], object]) -> Writer:
    """A folder of a part (with weights) whose config.json is made by `make`."""

    def write(folder: Path) -> Path:
        model = _in_model("config.json", make)(folder)
        (model / "diffusion_pytorch_model.safetensors").write_bytes(of(a=entry()))
        return model

    return write


def _sparse(name: str, content: bytes) -> Writer:
    """A file of a terabyte that takes no room."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        try:
            os.truncate(path, 10**12)
        except OSError:  # a file system that can't
            os.truncate(path, 10**9)
        return path

    return write


def _file(name: str, content: bytes) -> Writer:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write


def _surrogate(folder: Path) -> Path:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.safetensors"))
    path.write_bytes(b"x")
    return path


STRANGE: Mapping[str, Writer] = {
    "a FIFO": _fifo("pipe.safetensors"),
    "a FIFO for a pickle": _fifo("pipe.ckpt"),
    "a FIFO for an index": _in_model("model_index.json", os.mkfifo),
    "a FIFO for a configuration": _part_with(os.mkfifo),
    "a link to a FIFO": lambda folder: _link("link.sft", _fifo("pipe")(folder).name)(folder),
    "a socket": _socket,
    "endless zeros": _link("zero.safetensors", "/dev/zero"),
    "endless zeros for a pickle": _link("zero.ckpt", "/dev/zero"),
    "endless zeros for an index": _in_model(
        "model_index.json", lambda path: path.symlink_to("/dev/zero")
    ),
    "endless zeros for a configuration": _part_with(lambda path: path.symlink_to("/dev/zero")),
    "a terminal": _link("tty.safetensors", "/dev/tty"),
    "a folder called like a file": _directory("folder.safetensors"),
    "a folder for an index": _in_model("model_index.json", Path.mkdir),
    "a folder for a configuration": _part_with(Path.mkdir),
    "a broken link": _link("broken.safetensors", "nowhere"),
    "a broken link for an index": _in_model(
        "model_index.json", lambda path: path.symlink_to("nowhere")
    ),
    "a link to itself": _link("loop.safetensors", "loop.safetensors"),
    "a link to itself for an index": _in_model(
        "model_index.json", lambda path: path.symlink_to("model_index.json")
    ),
    "a terabyte of nothing": _sparse("sparse.safetensors", b""),
    "a terabyte of nothing for a pickle": _sparse("sparse.ckpt", b"\x80\x02"),
    "a terabyte of nothing after a zip's start": _sparse("sparse.pt", b"PK\x03\x04"),
    "a terabyte of nothing for GGUF": _sparse("sparse.gguf", gguf(0, 0)),
    "a terabyte of nothing for a header": _sparse("sparse.sft", struct.pack("<Q", 60 * MIB) + b"{"),
    "a name with a line's end": _file("line\nend.safetensors", b"nonsense"),
    "a name with markup": _file("<img src=x onerror=alert(1)>.safetensors", b"nonsense"),
    "a name that is no text": _surrogate,
    "a long name": _file("n" * 240 + ".safetensors", b"nonsense"),
}

HOSTILE: Mapping[str, Writer] = {
    **{f"pickle: {name}": _file("it.ckpt", data) for name, data in PICKLES.items()},
    **{f"header: {name}": _file("it.safetensors", data) for name, data in HEADERS.items()},
    **{f"GGUF: {name}": _file("it.gguf", data) for name, data in GGUFS.items()},
    **{f"index: {name}": _json_folder("model_index.json", data) for name, data in JSONS.items()},
    **{
        f"part: {name}": _json_folder("config.json", data, "diffusion_pytorch_model.safetensors")
        for name, data in JSONS.items()
    },
    **STRANGE,
}
"""What should be listed as unusable, and nothing else happen."""

_SIDECARS: Mapping[str, bytes] = {
    **JSONS,
    "a huge weight": b'{"preferred weight": ' + b"9" * 4000 + b"}",
    "an infinite weight": b'{"preferred weight": 1e999}',
    "words that aren't": b'{"trainedWords": [[], {}, 1, null, "\\ud800"], "activation text": 3}',
}


def _lora(folder: Path) -> Path:
    path = folder / "it.safetensors"
    tensors = {
        "lora_unet_down_blocks_0_attn2_to_k.lora_down.weight": entry((1, 768), 0, 3072),
        "lora_unet_down_blocks_0_attn2_to_k.lora_up.weight": entry((8, 1), 3072, 3104),
    }
    path.write_bytes(safetensors(json.dumps(tensors), 3104))
    return path


def _beside(make: Callable[[Path], object]) -> Writer:
    def write(folder: Path) -> Path:
        path = _lora(folder)
        make(path.with_suffix(".json"))
        return path

    return write


def _writes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


BESIDE: Mapping[str, Writer] = {
    **{f"beside: {name}": _beside(_writes(data)) for name, data in _SIDECARS.items()},
    "beside: a FIFO": _beside(os.mkfifo),
    "beside: endless zeros": _beside(lambda path: path.symlink_to("/dev/zero")),
    "beside: a folder": _beside(Path.mkdir),
    "beside: a link to itself": _beside(lambda path: path.symlink_to(path.name)),
}
"""A good LoRA with something hostile beside it: the LoRA stays usable."""


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """The data with some of its bytes changed, cut out or doubled, always in the same way."""
    chance = random.Random(seed)
    for _ in range(count):
        made = bytearray(data)
        for _change in range(chance.randint(1, 8)):
            place = chance.randrange(len(made))
            match chance.randrange(4):
                case 0:
                    made[place] = chance.randrange(256)
                case 1:
                    del made[place : place + chance.randint(1, 40)]
                case 2:
                    made[place:place] = made[place : place + chance.randint(1, 40)]
                case _:
                    made[place : place + 4] = chance.choice(
                        (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"99999999")
                    )
            if not made:
                break
        yield bytes(made)
