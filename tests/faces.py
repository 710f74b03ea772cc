"""Stand-ins for what restores faces: a detector in YuNet's format that finds white squares, a tiny
RestoreFormer, and landmarks.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from spandrel.architectures.RestoreFormer import RestoreFormer

from paintdiff.tasks.faces import FACE_TEMPLATE

SQUARE_PX = 32
"""The side of the white (or blue) squares that the detector takes for faces."""

DETECTOR = "face_detection_yunet_2023mar.onnx"
_LOOKS_AT_PX = 640
_INT, _FLOAT = 7, 1


def landmarks_at(x: float, y: float, face_px: float, degrees: float = 0.0) -> NDArray[np.float64]:
    """Those of a face whose aligned picture has the middle (x, y) and the side `face_px`."""
    turn = np.exp(1j * np.deg2rad(degrees)) * face_px / 512
    points = (FACE_TEMPLATE[:, 0] - 255.5 + 1j * (FACE_TEMPLATE[:, 1] - 255.5)) * turn
    return np.stack((points.real + x, points.imag + y), axis=1)


def save_tiny_restoreformer(path: Path) -> None:
    """Random weights in the layers of the real network, as spandrel lists them."""
    torch.manual_seed(0)
    network = RestoreFormer(
        n_embed=8,
        embed_dim=8,
        ch=32,
        ch_mult=(1, 1, 1, 1, 1, 1),
        num_res_blocks=1,
        attn_resolutions=(16,),
        z_channels=8,
        head_size=8,
    )
    save_file(network.state_dict(), path)


def save_detector(path: Path, face_px: float = 96.0, cells: int | None = None) -> None:
    """A network with YuNet's inputs and outputs, which is sure of a face wherever a cell of
    SQUARE_PX is white, or blue: around its middle, `face_px` long. With `cells` it says that it has
    looked at so many, whatever the picture's size.
    """
    nodes: list[bytes] = []
    tensors: list[bytes] = []
    outputs: list[bytes] = []
    middle = SQUARE_PX / 2 - 0.5
    points = landmarks_at(middle, middle, face_px) / SQUARE_PX
    # The subject's right eye is the left one in the picture, as in the template.
    for stride in (8, 16, 32):
        mean = f"mean_{stride}"
        sides = (_ints("kernel_shape", [stride] * 2), _ints("strides", [stride] * 2))
        nodes.append(_node("AveragePool", ["input"], mean, sides))
        for kind, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            weight = np.zeros((channels, 3, 1, 1), np.float32)
            bias = np.zeros(channels, np.float32)
            if stride == SQUARE_PX and channels == 1:
                weight[:, 0] = 1 / 255  # blue, which comes first
            if kind == "bbox":
                bias[:] = (0.5, 0.5, np.log(face_px / 2 / stride), np.log(face_px / 2 / stride))
            if kind == "kps":
                bias[:] = points.ravel()
            name = f"{kind}_{stride}"
            count = cells or (_LOOKS_AT_PX // stride) ** 2
            shape = np.array([1, -1 if cells is None else count, channels], np.int64)
            tensors += [
                _tensor(f"{name}_w", weight),
                _tensor(f"{name}_b", bias),
                _tensor(f"{name}_s", shape),
            ]
            inputs = [mean, f"{name}_w", f"{name}_b"]
            nodes.append(_node("Conv", inputs, f"{name}_c", (_ints("kernel_shape", [1, 1]),)))
            turned = (_ints("perm", [0, 2, 3, 1]),)
            nodes.append(_node("Transpose", [f"{name}_c"], f"{name}_t", turned))
            kept = f"{name}_t"
            if cells is not None:
                ends = (_ints("starts", [0, 0]), _ints("ends", [1, cells]), _ints("axes", [1, 2]))
                nodes.append(_node("Slice", [kept], f"{name}_k", ends))
                kept = f"{name}_k"
            nodes.append(_node("Reshape", [kept, f"{name}_s"], name))
            outputs.append(_shaped(name, [1, count, channels]))
    graph = [(1, node) for node in nodes] + [(2, "faces")] + [(5, tensor) for tensor in tensors]
    graph += [(11, _shaped("input", [1, 3, _LOOKS_AT_PX, _LOOKS_AT_PX]))]
    graph += [(12, output) for output in outputs]
    opset = _fields((1, ""), (2, 9))
    path.write_bytes(_fields((1, 7), (7, _fields(*graph)), (8, opset)))


# ONNX is a protocol buffer: fields of a number, and a whole number or bytes.


def _fields(*fields: tuple[int, int | str | bytes]) -> bytes:
    made = b""
    for number, value in fields:
        if isinstance(value, int):
            made += _varint(number << 3) + _varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            made += _varint(number << 3 | 2) + _varint(len(content)) + content
    return made


def _varint(number: int) -> bytes:
    made = b""
    while number > 127:
        made += bytes([number & 127 | 128])
        number >>= 7
    return made + bytes([number])


def _tensor(name: str, array: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    kind = _FLOAT if array.dtype == np.float32 else _INT
    sides = [(1, side) for side in array.shape]
    return _fields(*sides, (2, kind), (8, name), (9, array.tobytes()))


def _ints(name: str, values: Iterable[int]) -> bytes:
    return _fields((1, name), *((8, value) for value in values), (20, 7))


def _node(kind: str, inputs: Iterable[str], output: str, attributes: Iterable[bytes] = ()) -> bytes:
    return _fields(
        *((1, name) for name in inputs),
        (2, output),
        (3, f"{output}_node"),
        (4, kind),
        *((5, attribute) for attribute in attributes),
    )


def _shaped(name: str, shape: Iterable[int]) -> bytes:
    sides = _fields(*((1, _fields((1, side))) for side in shape))
    return _fields((1, name), (2, _fields((1, _fields((1, _FLOAT), (2, sides))))))
