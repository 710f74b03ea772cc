from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from paintdiff.mini.loop import LOG_EVERY_STEPS, Losses, TrainingLoop, learning_rate_at
from tests.mini.conftest import TINY_PLAN

PLAN = TINY_PLAN.model_copy(update={"steps": 2 * LOG_EVERY_STEPS})


class CutError(Exception):
    """Stands for the power going off."""


def trained(folder: Path, cut_at: int | None = None, end_at: int | None = None) -> list[Tensor]:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    loop = TrainingLoop("line", folder, {"model": model}, PLAN, seed=3)

    def losses(random: np.random.Generator, progress: float) -> Losses:
        if cut_at is not None and loop.step == cut_at:
            loop.save()
            raise CutError
        if loop.step == end_at:
            signal.raise_signal(signal.SIGTERM)
        inputs = torch.from_numpy(random.random((8, 4), dtype=np.float32)) + 0.1 * torch.randn(8, 4)
        return {"loss": (model(inputs) - inputs.sum(1, keepdim=True)).pow(2).mean()}

    loop.run(losses)
    loop.use_average()
    return [p.detach().clone() for p in model.parameters()]


def test_a_run_that_was_cut_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(CutError):
        trained(tmp_path / "cut", cut_at=17)
    resumed = trained(tmp_path / "cut")
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_sigterm_saves_and_nothing_follows(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(SystemExit):
        trained(tmp_path / "ended", end_at=17)
    resumed = trained(tmp_path / "ended")
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_the_losses_are_logged_and_plotted(tmp_path: Path) -> None:
    trained(tmp_path)
    rows = (tmp_path / "line.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "step,seconds,loss,norm"
    assert len(rows) == 3
    assert float(rows[2].split(",")[2]) < float(rows[1].split(",")[2])
    assert (tmp_path / "line.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_goes_on_logs_the_mean_of_the_steps_it_took(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)

    def losses(random: np.random.Generator, progress: float) -> Losses:
        if loop.step == LOG_EVERY_STEPS - 2 and loop.step != begun:
            loop.save()
            raise CutError
        return {"loss": model.weight.sum() * 0 + 4.0}

    loop, begun = TrainingLoop("flat", tmp_path, {"model": model}, PLAN, seed=3), 0
    with pytest.raises(CutError):
        loop.run(losses)
    loop = TrainingLoop("flat", tmp_path, {"model": model}, PLAN, seed=3)
    begun = loop.step
    loop.run(losses)
    rows = (tmp_path / "flat.csv").read_text(encoding="utf-8").splitlines()
    assert [float(row.split(",")[2]) for row in rows[1:]] == [4.0, 4.0]


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate_at(TINY_PLAN, step, step / 6) for step in range(7)]
    assert rates[0] < rates[1] > rates[3] > rates[6]
    assert rates[6] == pytest.approx(TINY_PLAN.learning_rate / 100)
