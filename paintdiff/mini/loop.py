"""One training loop for all of the embedded model's networks: resumable, logged, averaged.

It can resume at any step.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from paintdiff.mini.recipe import Plan

logger = logging.getLogger(__name__)

Module = TypeVar("Module", bound=nn.Module)

SAVE_EVERY_SECONDS = 180.0
LOG_EVERY_STEPS = 25

Losses = Mapping[str, Tensor]
"""Scalars by name; "loss" is the one that is minimised."""


@dataclass(frozen=True)
class Machine:
    """The machine to train on, and how.

    `precision` is "fp32" or "bf16" (autocast; the weights stay fp32). `clock` is the clock of a
    plan's minutes: "wall", or "cpu", the processor time of all threads, which other work on the
    machine doesn't use up.
    """

    device: torch.device
    precision: str
    compile: bool
    clock: str = "wall"

    def now(self) -> float:
        """Return the clock's seconds since some fixed start."""
        return time.process_time() if self.clock == "cpu" else time.monotonic()

    def autocast(self) -> torch.autocast:
        """Return the context in which losses are computed."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def prepare(self, module: Module) -> Module:
        """Return the module on the device, channels last. Works in place."""
        module.to(self.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return module


def learning_rate_at(plan: Plan, step: int, progress: float) -> float:
    """Return the learning rate: a linear warm-up, then a cosine to a hundredth of the peak.

    The cosine falls as `progress` goes from 0 to 1.
    """
    warm = min(1.0, (step + 1) / max(1, plan.warmup_steps))
    floor = 0.01
    return (
        plan.learning_rate * warm * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
    )


class TrainingLoop:
    """A loop that minimises `losses["loss"]` over `modules` by `plan`.

    It saves to `folder/name.pt` as it goes. Started again with the same arguments it resumes from
    the file: it restores weights, average, optimiser, random numbers and the time already spent. An
    interrupted run therefore gives the same weights as an uninterrupted one (as long as `steps`,
    not `minutes`, ends it). SIGTERM saves and ends the process.
    """

    def __init__(
        self, name: str, folder: Path, modules: dict[str, nn.Module], plan: Plan, seed: int
    ) -> None:
        self.name, self.folder, self.modules, self.plan = name, folder, modules, plan
        self.parameters = [
            p for module in modules.values() for p in module.parameters() if p.requires_grad
        ]
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            betas=(0.9, 0.99),
            fused=True,
        )
        self.random = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.step, self.seconds, self._stopping = 0, 0.0, False
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def state_path(self) -> Path:
        """Return the file of the saved state."""
        return self.folder / f"{self.name}.pt"

    @property
    def progress(self) -> float:
        """Return 0 at the start, 1 when done, by steps or by time, whichever is further."""
        return min(1.0, max(self.step / self.plan.steps, self.seconds / (60 * self.plan.minutes)))

    def run(
        self,
        losses: Callable[[np.random.Generator, float], Losses],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Train to the end.

        `losses(random, progress)` draws a batch and returns its losses; `now` is the clock of the
        plan's minutes.

        Raises:
            SystemExit: SIGTERM came. The state is saved, and what follows must not begin.
        """
        previous = signal.signal(signal.SIGTERM, self._stop)
        saved_at = time.monotonic()
        sums: dict[str, float] = {}
        first = self.step  # a resumed run may start between two log lines
        try:
            while self.progress < 1.0 and not self._stopping:
                started = now()
                for key, value in self._one_step(losses).items():
                    sums[key] = sums.get(key, 0.0) + value
                self.seconds += now() - started
                if self.step % LOG_EVERY_STEPS == 0:
                    self._log({key: total / (self.step - first) for key, total in sums.items()})
                    sums, first = {}, self.step
                if time.monotonic() - saved_at > SAVE_EVERY_SECONDS:
                    self.save()
                    saved_at = time.monotonic()
        finally:
            signal.signal(signal.SIGTERM, previous)
        self.save()
        plot_losses(self.folder / f"{self.name}.csv", self.folder / f"{self.name}.png")
        if self._stopping:
            raise SystemExit(128 + signal.SIGTERM)

    def use_average(self) -> None:
        """Put the averaged weights into the modules; these weights ship."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            parameter.data.copy_(average)

    def save(self) -> None:
        """Write the whole state; the file is never half written."""
        state = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "numpy_random": json.dumps(self.random.bit_generator.state),
            "torch_random": torch.get_rng_state(),
        }
        partial = self.state_path.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.state_path)

    def _one_step(self, losses: Callable[[np.random.Generator, float], Losses]) -> dict[str, float]:
        rate = learning_rate_at(self.plan, self.step, self.progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        values = losses(self.random, self.progress)
        self.optimiser.zero_grad(set_to_none=True)
        values["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        # A full-length average would remember the random start, so its length grows.
        decay = min(self.plan.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, parameter in zip(self.average, self.parameters, strict=True):
                average.lerp_(parameter, 1 - decay)
        self.step += 1
        return {key: float(value.detach()) for key, value in values.items()} | {"norm": float(norm)}

    def _resume(self) -> None:
        if not self.state_path.exists():
            return
        state = torch.load(self.state_path, weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for average, saved in zip(self.average, state["average"], strict=True):
            average.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.random.bit_generator.state = json.loads(state["numpy_random"])
        torch.set_rng_state(state["torch_random"])
        logger.info("%s goes on at step %d", self.name, self.step)

    def _log(self, means: dict[str, float]) -> None:
        path = self.folder / f"{self.name}.csv"
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["step", "seconds", *means])
            writer.writerow(
                [self.step, f"{self.seconds:.1f}", *(f"{v:.6f}" for v in means.values())]
            )
        text = " ".join(f"{key} {value:.4f}" for key, value in means.items())
        logger.info(
            "%s %d (%.0f %%, %.0f s): %s",
            self.name,
            self.step,
            100 * self.progress,
            self.seconds,
            text,
        )

    def _stop(self, signal_number: int, frame: FrameType | None) -> None:
        self._stopping = True


def plot_losses(table: Path, picture: Path) -> None:
    """Draw every column of a loss table against the step into a PNG.

    Does nothing if the table doesn't exist yet.
    """
    if not table.exists():
        return
    import matplotlib  # noqa: PLC0415  (slow to import, and only needed once a run)

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [key for key in rows[0] if key not in ("step", "seconds", "norm")]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for key in columns:
        axes.plot([int(row["step"]) for row in rows], [float(row[key]) for row in rows], label=key)
    axes.set(xlabel="step", yscale="log", title=table.stem)
    axes.legend()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
