"""Ways to paint one picture with less memory, quickest first, and the estimated memory of each.

Pure functions of numbers: the model's weights, the run, the family (`WorkingMemory`) and the
device. Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from paintdiff.imaging.geometry import Size
from paintdiff.models.registry.families import Family, WorkingMemory
from paintdiff.models.tiling.windows import LARGEST_WHOLE_PX

Placement = Literal["resident", "encoders", "models", "groups", "leaves"]
"""Where weights are while they are not in use. "resident": all of them on the device. "encoders":
the text encoders leave it once they have read the prompt. "models": only the working network is on
it. "groups": only the working block of the denoiser. "leaves": only the working layer. Weights that
leave the device wait in main memory, so a CPU supports "resident" only."""

_PLACEMENT_WORDS: dict[Placement, str] = {
    "resident": "",
    "encoders": "text encoder offloaded to RAM",
    "models": "weights offloaded to RAM",
    "groups": "blocks offloaded to RAM",
    "leaves": "layers offloaded to RAM",
}

# Working memory of CPU kernels beside the tensors held, as a factor: measured with Stable Diffusion
# 1.5 and with mini, float32, one thread (a UNet at 256 and 512, a VAE at 256 to 768).
_CPU_DENOISER_FACTOR = 1.8
_CPU_DECODE_FACTOR = 1.27
_CPU_BESIDE_BYTES = 40 * 2**20
"""The memory of a process beside weights and tensors: threads, tokenizers, leftovers of loading."""
_PACKED_BYTES = 1.02
"""Bytes per number kept in 8 bits, including its share of scales and unpacked weights."""
_TILED_NUMBERS_PER_PX = 16
"""Numbers per pixel of the whole picture that blending a tiled decode holds: sums, weights, and the
pixels before their conversion to 8 bits."""

_SCORE_BYTES = 9
"""Bytes per attention score where attention isn't fused, in any precision: the score and its
softmax in float32, and its mask. Measured for torch's math kernel on a CPU, which gave 9.1 to 9.4.
"""
_MOST_SCORES = 2**24
"""The number of scores that sliced attention holds at once (`acceleration/sliced_attention.py`)."""

_VAE_TOKEN_PX = 64
"""How many pixels a token of the VAE's attention stands for."""

_STREAMED_BLOCKS = 2
"""The working block, and the next one."""
_STREAMED_LEAVES = 0.05


@dataclass(frozen=True)
class Plan:
    """A way for a run to stay within memory.

    `dtype` is the precision of computation ("bfloat16"; None: the usual one). With `int8_weights`
    the weights of the denoiser and the text encoders are kept in 8 bits each (`int8_weights.py`).
    With `sliced_attention` only few attention scores are held at once, where attention isn't fused.
    A VAE takes pictures of up to `vae_tile_px` squared at once and larger ones by tiles of that
    side (None: as the family's row says). `part` is the painted fraction of the requested width and
    height.
    """

    placement: Placement = "resident"
    dtype: str | None = None
    int8_weights: bool = False
    vae_tile_px: int | None = None
    part: float = 1.0
    sliced_attention: bool = False

    @property
    def slow(self) -> bool:
        """Return whether it takes clearly longer than usual, or paints less than requested."""
        return self.placement != "resident" or self.dtype is not None or self.part < 1

    @property
    def precision(self) -> tuple[str | None, bool]:
        """Return the settings that need the model to be loaded again when they change."""
        return self.dtype, self.int8_weights

    @property
    def words(self) -> str:
        """Describe to people how memory is saved; "" if nothing is done."""
        parts = [_PLACEMENT_WORDS[self.placement]]
        parts += ["8-bit weights"] if self.int8_weights else []
        parts += ["half precision"] if self.dtype else []
        parts += ["sliced attention"] if self.sliced_attention else []
        parts += [f"decoded in tiles of {self.vae_tile_px}"] if self.vae_tile_px else []
        parts += ["half the size"] if self.part < 1 else []
        return ", ".join(each for each in parts if each)


USUAL_PLAN = Plan()
"""The plan that saves nothing."""

_IN_HALF = Plan(dtype="bfloat16")


@dataclass(frozen=True)
class PartBytes:
    """The memory of a model's weights in their usual precision, `bytes_per_number` each.

    `word_tables` are the embedding tables of the text encoders, which compute nothing. A
    `quantized` denoiser takes the same memory in every precision.
    """

    denoiser: int
    text_encoders: int
    vae: int
    bytes_per_number: int = 4
    word_tables: int = 0
    quantized: bool = False

    @property
    def total(self) -> int:
        """Return the sum of all parts."""
        return self.denoiser + self.text_encoders + self.vae

    def convert_to(self, plan: Plan) -> PartBytes:
        """Return the sizes in a plan's precision."""
        number = 2 if plan.dtype else self.bytes_per_number
        shrink = number / self.bytes_per_number
        computing = _PACKED_BYTES / self.bytes_per_number if plan.int8_weights else shrink
        tables = int(self.word_tables * shrink)
        return replace(
            self,
            denoiser=self.denoiser if self.quantized else int(self.denoiser * computing),
            text_encoders=tables + int((self.text_encoders - self.word_tables) * computing),
            vae=int(self.vae * shrink),
            bytes_per_number=number,
            word_tables=tables,
        )


@dataclass(frozen=True)
class RunFacts:
    """The properties of a run that determine its memory.

    `size` is the largest painted size, in pixels, and `seen_px` the number of its pixels that the
    model sees at once (fewer through windows). `batch` counts the denoiser's inputs at once: 2 per
    picture with guidance and 1 without. `beside_bytes` are weights used along with the model
    (ControlNets, a refiner). A `plain` run uses nothing that has its own precision along with the
    model. `may_shrink` says whether half the size is better than nothing.
    """

    size: Size
    seen_px: int
    batch: int = 2
    beside_bytes: int = 0
    plain: bool = True
    may_shrink: bool = True

    def multiply(self, pictures: int) -> RunFacts:
        """Return the facts for so many pictures at once."""
        return replace(self, batch=pictures * self.batch)

    def halve(self) -> RunFacts:
        """Return the facts at half the width and height."""
        size = Size(max(1, self.size.width // 2), max(1, self.size.height // 2))
        return replace(self, size=size, seen_px=min(self.seen_px, size.area))


@dataclass(frozen=True)
class Planned:
    """A plan and its estimated memory on the device, in bytes.

    It has the weights, the peak `painting_bytes` while painting, and `loading_bytes` while loading.
    """

    plan: Plan
    weights_bytes: int
    painting_bytes: int
    loading_bytes: int = 0

    @property
    def peak_bytes(self) -> int:
        """Return the largest of them."""
        return max(self.painting_bytes, self.loading_bytes)


@dataclass(frozen=True)
class Hardware:
    """The hardware of a run.

    It has the `device` ("cpu", "cuda" ...), and whether torch computes attention there without
    holding all of its scores at once.
    """

    device: str
    fused_attention: bool = True


def list_plans(
    family: Family, parts: PartBytes, run: RunFacts, on: Hardware
) -> tuple[Planned, ...]:
    """Return the ladder for a run, quickest first.

    Each plan paints with less memory than those before it. For a family without figures only the
    weights are counted.
    """
    found: list[Planned] = []
    for plan in _rungs(run, on):
        planned = _planned(plan, family, parts, run, on)
        known = family.working_memory is not None
        if not found or not known or planned.painting_bytes < found[-1].painting_bytes:
            found.append(planned)
    return tuple(found)


def choose_plan(ladder: Sequence[Planned], room_bytes: int) -> Planned | None:
    """Return the first plan that fits, None if none does."""
    return next((each for each in ladder if each.peak_bytes <= room_bytes), None)


def estimate_peak_bytes(
    plan: Plan, family: Family, parts: PartBytes, run: RunFacts, on: Hardware
) -> int:
    """Return the estimated peak of a run by a plan on the device."""
    return _planned(plan, family, parts, run, on).peak_bytes


def _rungs(run: RunFacts, on: Hardware) -> list[Plan]:
    side = math.isqrt(run.size.area)
    tiles = [tile for tile in (768, 512, 256) if tile < side]
    small, smallest = (next((t for t in (most, 256) if t < side), None) for most in (512, 256))
    rungs = [Plan(), *(Plan(vae_tile_px=tile) for tile in tiles)]
    if on.device.startswith("cuda"):
        rungs += [Plan("encoders", vae_tile_px=small), Plan("models", vae_tile_px=small)]
        rungs += [Plan("groups", vae_tile_px=small), Plan("leaves", vae_tile_px=smallest)]
    elif on.device == "cpu":
        rungs.append(Plan(int8_weights=True, vae_tile_px=small))
        if run.plain:
            rungs.append(Plan(dtype="bfloat16", int8_weights=True, vae_tile_px=smallest))
    if run.may_shrink:
        halved = 256 if side // 2 > 256 else None
        rungs.append(replace(rungs[-1], vae_tile_px=halved, part=0.5))
    if on.fused_attention:
        return rungs
    # It costs next to nothing there, so it comes before everything else.
    return [rungs[0], *(replace(each, sliced_attention=True) for each in rungs)]


def _planned(plan: Plan, family: Family, parts: PartBytes, run: RunFacts, on: Hardware) -> Planned:
    usual, parts = parts, parts.convert_to(plan)
    run = run.halve() if plan.part < 1 else run
    denoising, scores, decoding = _working_bytes(plan, family, parts, run, on)
    loading, here = 0, _on_device(plan, family, parts)
    held = count_weights_on_device(plan, family, parts)
    if on.device == "cpu" and family.working_memory is not None:
        # The allocator keeps the memory of denoising, in pieces too small for decoding.
        if plan.int8_weights:  # it is loaded in half precision, and then packed
            loading = usual.convert_to(_IN_HALF).denoiser + _CPU_BESIDE_BYTES
        # That of the scores goes back to the system, as it is in one piece.
        peak = held + denoising + max(scores, decoding) + _CPU_BESIDE_BYTES
    elif plan.placement == "resident":
        peak = held + max(denoising + scores, decoding)
    elif plan.placement == "encoders":
        peak = max(held, here.denoiser + here.vae + max(denoising + scores, decoding))
    else:  # one part at a time
        peak = max(here.text_encoders, here.denoiser + denoising + scores, here.vae + decoding)
    return Planned(plan, held, peak + run.beside_bytes, loading)


def count_weights_on_device(plan: Plan, family: Family, parts: PartBytes) -> int:
    """Return the most bytes of weights that a plan has on the device at once.

    `parts` are in the plan's precision.
    """
    here = _on_device(plan, family, parts)
    if plan.placement in ("resident", "encoders"):
        return here.total
    return max(here.denoiser, here.text_encoders, here.vae)


def _on_device(plan: Plan, family: Family, parts: PartBytes) -> PartBytes:
    """Return for each part the bytes on the device while it works."""
    if plan.placement not in ("groups", "leaves"):
        return parts
    working, share = family.working_memory, _STREAMED_LEAVES
    if plan.placement == "groups":
        share = 1.0 if working is None else min(1.0, _STREAMED_BLOCKS * working.largest_block)
    return replace(
        parts,
        denoiser=int(parts.denoiser * share),
        text_encoders=int(parts.text_encoders * _STREAMED_LEAVES),
    )


def _working_bytes(
    plan: Plan, family: Family, parts: PartBytes, run: RunFacts, on: Hardware
) -> tuple[int, int, int]:
    """Return the memory beside the weights: of denoising, its attention scores, and decoding."""
    working = family.working_memory
    if working is None:
        return 0, 0, 0
    number = parts.bytes_per_number
    vae_number = 4 if family.vae_full_precision else number
    whole = plan.vae_tile_px or family.vae_whole_px or LARGEST_WHOLE_PX
    tile = plan.vae_tile_px or LARGEST_WHOLE_PX
    denoising = run.batch * number * _denoiser_numbers(working, run.seen_px)
    tiled = run.size.area > whole**2
    at_once = min(tile**2, run.size.area) if tiled else run.size.area
    decoding = vae_number * working.decode_per_px * at_once
    if tiled:
        decoding += 4 * _TILED_NUMBERS_PER_PX * run.size.area
    if on.device == "cpu":
        denoising, decoding = denoising * _CPU_DENOISER_FACTOR, decoding * _CPU_DECODE_FACTOR
    scores = 0
    if not on.fused_attention:
        scores = _scores_bytes(plan, run.batch * _denoiser_scores(family, run.seen_px))
        if working.vae_attention:
            decoding += _scores_bytes(plan, (at_once // _VAE_TOKEN_PX) ** 2)
    return int(denoising), scores, int(decoding)


def _scores_bytes(plan: Plan, scores: int) -> int:
    """Return the bytes held of the largest attention's `scores`."""
    return _SCORE_BYTES * (min(scores, _MOST_SCORES) if plan.sliced_attention else scores)


def _denoiser_scores(family: Family, seen_px: int) -> int:
    """Return the scores of the largest attention, for one of a batch.

    Transformers attend to the words, too.
    """
    working = family.working_memory
    assert working is not None  # otherwise nothing is estimated
    words = family.max_prompt_tokens if family.denoiser == "transformer" else 0
    tokens = seen_px // working.attention_token_px + words
    return working.attention_heads * tokens**2


def _denoiser_numbers(working: WorkingMemory, seen_px: int) -> float:
    return working.denoiser_fixed + working.denoiser_per_px * seen_px
