"""A UNet that OpenVINO computes instead of torch where that is faster.

It is compiled in the background while torch paints, then compared with torch, then timed in turns
with it within one picture.

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

from paintdiff.models.acceleration import messages
from paintdiff.models.acceleration.kernel_choice import Kernels
from paintdiff.models.acceleration.measurements import WORTH_IT, MeasurementFile
from paintdiff.models.acceleration.merged_lora_weights import collect_weights, find_active_loras
from paintdiff.models.acceleration.openvino.graphs import Graphs, Part, is_running

logger = logging.getLogger(__name__)

FILE_NAME = "engines.json"
ROUNDS = 3
"""How often each backend is timed before the faster one is chosen."""

SMALL_BYTES = 256 * 2**20
"""A smaller network computes a whole batch at once, which is up to a tenth faster. A larger one
would need another copy of its weights for each batch size.
"""
KEPT_SMALL = 12
"""How many compiled shapes of a small network are kept; of a large one it is one for each part.

The profiles fast and turbo need ten for one size, for one picture and for several at once.
"""

Winner = Literal["torch", "openvino"]
Make = Callable[..., Any]
"""A constructor like that of `network.OpenVinoNetwork`."""


class _OpenVinoError(Exception):
    """An error of OpenVINO. Those of torch must reach the caller."""


@dataclass
class BackendWorkspace:
    """The resources that the engines of all models share.

    Attributes:
        graphs: The networks' graphs.
        known: The fastest backend by network and shape. Hold `known_lock` to use it.
        compile_lock: Held to compile a network: one at a time.
        known_lock: See `known`.
        make: Makes a network; None: OpenVINO.
    """

    graphs: Graphs
    known: MeasurementFile[Winner]
    compile_lock: threading.Lock = field(default_factory=threading.Lock)
    known_lock: threading.Lock = field(default_factory=threading.Lock)
    make: Make | None = None

    @classmethod
    def of(cls, cache: Path) -> BackendWorkspace:
        """Return a workspace that keeps its files in the folder `cache`."""
        kind = TypeAdapter(dict[str, Winner])
        return cls(Graphs(cache / "graphs"), MeasurementFile(cache / FILE_NAME, kind))


@dataclass
class _Trial:
    """A part of the network for inputs of fixed shapes. `winner` is None until it is known."""

    key: str
    winner: Winner | None
    network: Any = None
    failed: bool = False
    compared: bool = False
    seconds: dict[Winner, list[float]] = field(
        default_factory=lambda: {"torch": [], "openvino": []}
    )

    @property
    def next_backend(self) -> Winner:
        """Return the backend that computes the next call."""
        if self.winner is not None:
            return self.winner
        return min(self.seconds, key=lambda each: len(self.seconds[each]))


class OpenVinoEngine:
    """One model's UNet on OpenVINO, with the LoRAs (`loras`) that it has now.

    With `always` it is used as soon as it is compiled, otherwise only where it is faster.
    `has_room` returns whether so many more bytes may be taken. Safe to use from any thread.
    """

    def __init__(
        self,
        unet: Any,
        workspace: BackendWorkspace,
        *,
        always: bool = False,
        has_room: Callable[[int], bool] = lambda _count: True,
    ) -> None:
        self._config = {**unet.config}
        self._weights = collect_weights(unet)
        self.loras = find_active_loras(unet)
        self._workspace = workspace
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
        """Return what its copies of the weights take."""
        networks = [each.network for each in list(self._trials.values())]
        return sum(each.weights_bytes for each in networks if each is not None)

    def drop(self) -> None:
        """Drop all compiled networks, to free memory."""
        with self._lock:
            self._trials.clear()

    def compute(
        self,
        part: Part,
        kernels: Kernels,
        inputs: Mapping[str, torch.Tensor],
        by_torch: Callable[[], tuple[torch.Tensor, ...]],
    ) -> tuple[Winner, tuple[torch.Tensor, ...]]:
        """Return the backend that computed a part of the UNet, and the results.

        It is torch until OpenVINO has compiled the part, and again once OpenVINO has failed.
        """
        trial = self._find_trial(part, kernels, inputs)
        network = trial.network
        if network is None or trial.winner == "torch" or trial.failed:
            return "torch", by_torch()
        try:
            return self._run_trial(trial, network, kernels, inputs, by_torch)
        except _OpenVinoError as error:
            logger.warning(messages.OPENVINO_FAILED, error.__cause__)
            trial.failed, trial.network = True, None
            return "torch", by_torch()

    def _run_trial(
        self,
        trial: _Trial,
        network: Any,
        kernels: Kernels,
        inputs: Mapping[str, torch.Tensor],
        by_torch: Callable[[], tuple[torch.Tensor, ...]],
    ) -> tuple[Winner, tuple[torch.Tensor, ...]]:
        if not trial.compared:
            expected = by_torch()
            self._compare(trial, expected, self._run_openvino(network, inputs), kernels)
            return "torch", expected
        backend, started = trial.next_backend, time.perf_counter()
        results = by_torch() if backend == "torch" else self._run_openvino(network, inputs)
        if trial.winner is None:
            trial.seconds[backend].append(time.perf_counter() - started)
            self._decide(trial)
        return backend, results

    def _run_openvino(
        self, network: Any, inputs: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        try:
            if self._is_small:
                return network(inputs)
            parts = [network(_select_sample(inputs, at)) for at in range(len(inputs["sample"]))]
        except RuntimeError as error:
            raise _OpenVinoError from error
        return tuple(torch.cat(each) for each in zip(*parts, strict=True))

    @property
    def _is_small(self) -> bool:
        return self.weights_bytes <= SMALL_BYTES

    def _find_trial(
        self, part: Part, kernels: Kernels, inputs: Mapping[str, torch.Tensor]
    ) -> _Trial:
        asked = dict(inputs) if self._is_small else _select_sample(inputs, 0)
        shapes = {name: tuple(each.shape) for name, each in asked.items()}
        place = (part, kernels, *sorted(shapes.items()))
        with self._lock:
            trial = self._trials.get(place)
            if trial is None:
                trial = self._trials[place] = self._begin_trial(part, kernels, shapes)
                self._drop_oldest(place)
            self._trials.move_to_end(place)
            return trial

    def _drop_oldest(self, newest: tuple[Any, ...]) -> None:
        asked = _name_graph(newest)
        places = [each for each in self._trials if self._is_small or _name_graph(each) == asked]
        for place in places[: -KEPT_SMALL if self._is_small else -1]:
            del self._trials[place]

    def _begin_trial(
        self, part: Part, kernels: Kernels, shapes: Mapping[str, tuple[int, ...]]
    ) -> _Trial:
        key = _make_key(self._config, part, kernels, shapes)
        with self._workspace.known_lock:
            known = self._workspace.known.get(key)
        trial = _Trial(key, "openvino" if self._always else known)
        if trial.winner != "torch":
            arguments = (trial, part, kernels, shapes)
            # Not a daemon, though its parent may be one: the interpreter would crash if it ended
            # while OpenVINO compiles.
            maker = threading.Thread(
                target=self._compile, args=arguments, name="openvino", daemon=False
            )
            try:
                maker.start()
            except RuntimeError:  # the system has no thread to spare
                logger.warning(messages.NO_THREAD, exc_info=True)
                trial.failed = True
        return trial

    def _compile(
        self, trial: _Trial, part: Part, kernels: Kernels, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        started = time.perf_counter()
        try:
            with self._workspace.compile_lock:
                if not is_running():
                    return
                if not self._has_room(2 * self.weights_bytes + self._merged_bytes):
                    logger.info("no memory for a second copy of the weights, torch computes on")
                    trial.failed = True
                    return
                graph = self._workspace.graphs.get(self._config, part, shapes)
                if not is_running():
                    return
                make = self._workspace.make or _import_openvino_network()
                weights = {name: each.merge() for name, each in self._weights.items()}
                network = make(graph, weights, shapes, bfloat16=kernels.bfloat16)
        except BaseException:  # also panics of a library in Rust
            trial.failed = True
            if is_running():  # otherwise the program is ending
                logger.warning(messages.NETWORK_NOT_COMPUTED, exc_info=True)
        else:
            trial.network = network
            logger.info(messages.OPENVINO_READY, time.perf_counter() - started)

    def _compare(
        self,
        trial: _Trial,
        expected: tuple[torch.Tensor, ...],
        found: tuple[torch.Tensor, ...],
        kernels: Kernels,
    ) -> None:
        """Compare the first results, so that a network that was converted wrongly isn't used.

        They are compared as a whole: in half precision single numbers of a correct network differed
        by 0.18 of the largest.
        """
        most = 0.1 if kernels.bfloat16 else 1e-3
        for one, other in zip(expected, found, strict=True):
            if not (one.float() - other).norm() <= most * one.float().norm():
                logger.warning(messages.RESULTS_DIFFER)
                trial.failed, trial.network = True, None
        trial.compared = True

    def _decide(self, trial: _Trial) -> None:
        if min(map(len, trial.seconds.values())) < ROUNDS:
            return
        best = {name: min(each) for name, each in trial.seconds.items()}
        trial.winner = "openvino" if best["openvino"] < WORTH_IT * best["torch"] else "torch"
        logger.info("fastest is %s: %s", trial.winner, best)
        with self._workspace.known_lock:
            self._workspace.known.set(trial.key, trial.winner)
        if trial.winner == "torch":
            trial.network = None


def _name_graph(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what identifies a graph: the part, and the names of its inputs."""
    part, _kernels, *shapes = place
    return (part, *(name for name, _shape in shapes))


def _import_openvino_network() -> Make:
    from paintdiff.models.acceleration.openvino.network import (  # noqa: PLC0415 (imports OpenVINO)
        OpenVinoNetwork,
    )

    return OpenVinoNetwork


def _select_sample(inputs: Mapping[str, torch.Tensor], at: int) -> dict[str, torch.Tensor]:
    """Return the inputs of one sample of a batch; the timestep is that of all."""
    return {name: each[at : at + 1] if each.ndim else each for name, each in inputs.items()}


def _make_key(
    config: Mapping[str, Any],
    part: Part,
    kernels: Kernels,
    shapes: Mapping[str, tuple[int, ...]],
) -> str:
    """Return a key: the machine, the versions, the network's kind and size (a power of two)."""
    cpu = (platform.node(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
    versions = (torch.__version__, version("openvino"))
    batch, _, height, width = shapes["sample"]
    built = (config["block_out_channels"], config["layers_per_block"], str(kernels))
    extent = (height * width).bit_length()
    return json.dumps([*cpu, *versions, *built, part, batch, extent])
