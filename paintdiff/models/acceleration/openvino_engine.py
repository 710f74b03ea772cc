"""A UNet that OpenVINO computes in torch's place where that is quicker: made ready in the
background while torch paints, compared with torch, and timed by turns with it within a picture.

Imports torch: import it in a function.
"""

from __future__ import annotations

import json
import logging
import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import TypeAdapter

from paintdiff.models.acceleration.kernel_choice import Kernels
from paintdiff.models.acceleration.measurements import WORTH_IT, MeasurementFile
from paintdiff.models.acceleration.merged_lora_weights import inject_weights, weights_of
from paintdiff.models.acceleration.openvino_graphs import Graphs, Part, is_running

logger = logging.getLogger(__name__)

FILE_NAME = "engines.json"
ROUNDS = 3
"""How often each engine is timed before the quicker one is taken."""

SMALL_BYTES = 256 * 2**20
"""A network with less is asked for a whole batch at once, which is up to a tenth quicker; of a
larger one that would need a second copy of its weights where the batch changes.
"""
KEPT_SMALL = 12
"""How many shapes of a small network are kept ready (fast and turbo need ten for one size, for one
picture and for several at once); of a large one it's one for each part.
"""

Winner = Literal["torch", "openvino"]
Make = Callable[..., Any]
"""As `openvino_network.OpenVinoNetwork`."""


class _OpenVinoError(Exception):
    """What OpenVINO raised; none of torch's errors, which have to get out."""


@dataclass
class BackendWorkspace:
    """What all models' engines share: the graphs, what was found quickest here, and the right to be
    made ready, as one is at a time. `known` is only used while `remembering`. `make` builds a
    network, None for OpenVINO's.
    """

    graphs: Graphs
    known: MeasurementFile[Winner]
    turn: threading.Lock = field(default_factory=threading.Lock)
    remembering: threading.Lock = field(default_factory=threading.Lock)
    make: Make | None = None

    @classmethod
    def of(cls, cache: Path) -> BackendWorkspace:
        """With all it keeps in that folder."""
        kind = TypeAdapter(dict[str, Winner])
        return cls(Graphs(cache / "graphs"), MeasurementFile(cache / FILE_NAME, kind))


@dataclass
class _Trial:
    """One part of the network, for inputs of certain shapes. `winner` is None until it is known."""

    key: str
    winner: Winner | None
    network: Any = None
    failed: bool = False
    compared: bool = False
    seconds: dict[Winner, list[float]] = field(
        default_factory=lambda: {"torch": [], "openvino": []}
    )

    @property
    def turn(self) -> Winner:
        """Whose turn it is."""
        if self.winner is not None:
            return self.winner
        return min(self.seconds, key=lambda each: len(self.seconds[each]))


class OpenVinoEngine:
    """One model's UNet on OpenVINO, with the LoRAs that are in it now (`loras`) and nothing else.

    With `always` it is used wherever it is ready, else where it is quicker. `has_room` is asked
    whether so many bytes more may be taken. Safe to use from any thread.
    """

    def __init__(
        self,
        unet: Any,
        workshop: BackendWorkspace,
        *,
        always: bool = False,
        has_room: Callable[[int], bool] = lambda _count: True,
    ) -> None:
        self._config = {**unet.config}
        self._weights = weights_of(unet)
        self.loras = inject_weights(unet)
        self._workshop = workshop
        self._always = always
        self._has_room = has_room
        self._trials: OrderedDict[tuple[Any, ...], _Trial] = OrderedDict()  # by last use
        self._lock = threading.Lock()
        self.weights_bytes = sum(each.tensor.nbytes for each in self._weights.values())
        self._merged_bytes = sum(
            each.tensor.nbytes for each in self._weights.values() if each.parts
        )

    @property
    def held_bytes(self) -> int:
        """What its copies of the weights take."""
        networks = [each.network for each in list(self._trials.values())]
        return sum(each.weights_bytes for each in networks if each is not None)

    def drop(self) -> None:
        """Let go of all that is ready: memory is short."""
        with self._lock:
            self._trials.clear()

    def computed(
        self,
        part: Part,
        kernels: Kernels,
        inputs: Mapping[str, torch.Tensor],
        by_torch: Callable[[], tuple[torch.Tensor, ...]],
    ) -> tuple[Winner, tuple[torch.Tensor, ...]]:
        """What a part of the UNet gives, and by which engine: by torch until OpenVINO is ready, and
        again once it failed.
        """
        trial = self._trial(part, kernels, inputs)
        network = trial.network
        if network is None or trial.winner == "torch" or trial.failed:
            return "torch", by_torch()
        try:
            return self._tried(trial, network, kernels, inputs, by_torch)
        except _OpenVinoError as error:
            logger.warning("torch goes on: OpenVINO failed: %s", error.__cause__)
            trial.failed, trial.network = True, None
            return "torch", by_torch()

    def _tried(
        self,
        trial: _Trial,
        network: Any,
        kernels: Kernels,
        inputs: Mapping[str, torch.Tensor],
        by_torch: Callable[[], tuple[torch.Tensor, ...]],
    ) -> tuple[Winner, tuple[torch.Tensor, ...]]:
        if not trial.compared:
            expected = by_torch()
            self._compare(trial, expected, self._by_openvino(network, inputs), kernels)
            return "torch", expected
        turn, started = trial.turn, time.perf_counter()
        results = by_torch() if turn == "torch" else self._by_openvino(network, inputs)
        if trial.winner is None:
            trial.seconds[turn].append(time.perf_counter() - started)
            self._decide(trial)
        return turn, results

    def _by_openvino(
        self, network: Any, inputs: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        try:
            if self._together:
                return network(inputs)
            parts = [network(_one(inputs, at)) for at in range(len(inputs["sample"]))]
        except RuntimeError as error:
            raise _OpenVinoError from error
        return tuple(torch.cat(each) for each in zip(*parts, strict=True))

    @property
    def _together(self) -> bool:
        return self.weights_bytes <= SMALL_BYTES

    def _trial(self, part: Part, kernels: Kernels, inputs: Mapping[str, torch.Tensor]) -> _Trial:
        asked = dict(inputs) if self._together else _one(inputs, 0)
        shapes = {name: tuple(each.shape) for name, each in asked.items()}
        place = (part, kernels, *sorted(shapes.items()))
        with self._lock:
            trial = self._trials.get(place)
            if trial is None:
                trial = self._trials[place] = self._begun(part, kernels, shapes)
                self._drop_oldest(place)
            self._trials.move_to_end(place)
            return trial

    def _drop_oldest(self, newest: tuple[Any, ...]) -> None:
        asked = _names(newest)
        places = [each for each in self._trials if self._together or _names(each) == asked]
        for place in places[: -KEPT_SMALL if self._together else -1]:
            del self._trials[place]

    def _begun(self, part: Part, kernels: Kernels, shapes: Mapping[str, tuple[int, ...]]) -> _Trial:
        key = _key(self._config, part, kernels, shapes)
        with self._workshop.remembering:
            known = self._workshop.known.get(key)
        trial = _Trial(key, "openvino" if self._always else known)
        if trial.winner != "torch":
            arguments = (trial, part, kernels, shapes)
            # Not a daemon, though its starter may be one: the interpreter mustn't go while OpenVINO
            # compiles, which would be a crash.
            maker = threading.Thread(
                target=self._make_ready, args=arguments, name="openvino", daemon=False
            )
            try:
                maker.start()
            except RuntimeError:  # the system has no thread to spare
                logger.warning("torch goes on: OpenVINO's thread can't be started", exc_info=True)
                trial.failed = True
        return trial

    def _make_ready(
        self, trial: _Trial, part: Part, kernels: Kernels, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        started = time.perf_counter()
        try:
            with self._workshop.turn:
                if not is_running():
                    return
                if not self._has_room(2 * self.weights_bytes + self._merged_bytes):
                    logger.info("torch goes on: there is no room for the weights a second time")
                    trial.failed = True
                    return
                graph = self._workshop.graphs.graph(self._config, part, shapes)
                if not is_running():
                    return
                make = self._workshop.make or _openvino_network()
                weights = {name: each.merged() for name, each in self._weights.items()}
                network = make(graph, weights, shapes, bfloat16=kernels.bfloat16)
        except BaseException:  # also what a library in Rust panics with: torch goes on
            trial.failed = True
            if is_running():  # else it was given up
                logger.warning("torch goes on: OpenVINO can't compute this network", exc_info=True)
        else:
            trial.network = network
            logger.info("OpenVINO is ready after %.1f s", time.perf_counter() - started)

    def _compare(
        self,
        trial: _Trial,
        expected: tuple[torch.Tensor, ...],
        found: tuple[torch.Tensor, ...],
        kernels: Kernels,
    ) -> None:
        """Once for each network: what was converted wrongly must not paint. (As a whole: in half
        precision single numbers of the right network were seen 0.18 of the largest apart.)
        """
        most = 0.1 if kernels.bfloat16 else 1e-3
        for one, other in zip(expected, found, strict=True):
            if not (one.float() - other).norm() <= most * one.float().norm():
                logger.warning("torch goes on: OpenVINO computes something else than torch")
                trial.failed, trial.network = True, None
        trial.compared = True

    def _decide(self, trial: _Trial) -> None:
        if min(map(len, trial.seconds.values())) < ROUNDS:
            return
        best = {name: min(each) for name, each in trial.seconds.items()}
        trial.winner = "openvino" if best["openvino"] < WORTH_IT * best["torch"] else "torch"
        logger.info("quickest is %s: %s", trial.winner, best)
        with self._workshop.remembering:
            self._workshop.known.set(trial.key, trial.winner)
        if trial.winner == "torch":
            trial.network = None


def _names(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """The part and the names of its inputs: what a graph is of."""
    part, _kernels, *shapes = place
    return (part, *(name for name, _shape in shapes))


def _openvino_network() -> Make:
    from paintdiff.models.acceleration.openvino_network import (  # noqa: PLC0415 (imports OpenVINO)
        OpenVinoNetwork,
    )

    return OpenVinoNetwork


def _one(inputs: Mapping[str, torch.Tensor], at: int) -> dict[str, torch.Tensor]:
    """Of a batch one; the timestep is all of it's."""
    return {name: each[at : at + 1] if each.ndim else each for name, each in inputs.items()}


def _key(
    config: Mapping[str, Any],
    part: Part,
    kernels: Kernels,
    shapes: Mapping[str, tuple[int, ...]],
) -> str:
    """The machine, the versions, the network's kind and the nearest power of two to its size."""
    cpu = (platform.node(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
    versions = (torch.__version__, version("openvino"))
    batch, _, height, width = shapes["sample"]
    built = (config["block_out_channels"], config["layers_per_block"], str(kernels))
    extent = (height * width).bit_length()
    return json.dumps([*cpu, *versions, *built, part, batch, extent])
