"""`python -m paintdiff.mini COMMAND`: train the embedded model from nothing, one command a stage.

Every stage resumes where it was stopped, reads the results of earlier stages from --work, and skips
finished work. `adopt` starts a fresh --work from the pipeline in --target (and the ControlNet
beside it), to continue its training.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionPipeline
from spandrel.architectures.Compact import Compact

from paintdiff.config.presets import presets_folder
from paintdiff.errors import PaintError
from paintdiff.mini.ablation import ablate_autoencoder, ablate_painter
from paintdiff.mini.adopt import adopt_pipeline
from paintdiff.mini.data.dataset import Dataset, cache_masks, open_dataset, render_dataset
from paintdiff.mini.evaluate import contact_sheet, evaluate, evaluate_control, paint_prompts
from paintdiff.mini.evaluate_upscaler import evaluate_upscaler, upscaler_table
from paintdiff.mini.export import export_pipeline
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.autoencoder import cache_latents, sharpen_decoder, train_autoencoder
from paintdiff.mini.networks.control import export_control, train_control
from paintdiff.mini.networks.judge import load_judge, save_judge, train_judge
from paintdiff.mini.networks.painter import Painter, train_painter
from paintdiff.mini.networks.upscaler import (
    cache_painted,
    export_upscaler,
    load_upscaler,
    render_pictures,
    train_upscaler,
)
from paintdiff.mini.recipe import DEFAULT_RECIPE, Recipe, read_recipe

SHIPPED = presets_folder() / "mini"
JUDGE = SHIPPED.with_name("mini-judge")
CONTROL = SHIPPED.with_name("mini-control")
UPSCALER = SHIPPED.with_name("mini-upscaler")

STAGES = (
    "train-vae",
    "render",
    "train-judge",
    "cache",
    "train-painter",
    "sharpen",
    "train-control",
    "export",
    "render-upscaler",
    "train-upscaler",
    "export-upscaler",
    "evaluate",
)

EXTRA_STAGES = ("adopt", "ablate-vae", "ablate-painter")
"""Stages that `all` leaves out."""

logger = logging.getLogger(__name__)


class Studio:
    """The stages, over one recipe, one work folder and one machine."""

    def __init__(self, recipe: Recipe, work: Path, machine: Machine, target: Path) -> None:
        self.recipe, self.work, self.machine, self.target = recipe, work, machine, target

    def run(self, stage: str) -> None:
        """Run one of STAGES or EXTRA_STAGES."""
        actions = {
            "render": self._render,
            "train-vae": self._vae,
            "cache": self._cache,
            "train-painter": self._painter,
            "sharpen": self._sharpen,
            "train-control": self._control,
            "train-judge": self._judge,
            "render-upscaler": self._render_upscaler,
            "train-upscaler": self._upscaler,
            "export-upscaler": self._export_upscaler,
            "export": self._export,
            "evaluate": self._evaluate,
            "adopt": self._adopt,
            "ablate-vae": self._ablate_vae,
            "ablate-painter": self._ablate_painter,
        }
        logger.info("stage %s", stage)
        actions[stage]()

    def _adopt(self) -> None:
        folder = self.target.with_name(CONTROL.name)
        control = load_control(folder) if folder.is_dir() else None
        adopt_pipeline(self.recipe, load_pipeline(self.target), self.work, control)

    def _render(self) -> None:
        render_dataset(self.recipe, self.work, workers=torch.get_num_threads())

    def _first_scenes(self) -> Dataset:
        """Render the scenes that the VAE learns from, so that it need not wait for all scenes."""
        scenes = self.recipe.autoencoder.scenes or self.recipe.scenes
        render_dataset(self.recipe, self.work, torch.get_num_threads(), scenes)
        return open_dataset(self.recipe, self.work, scenes)

    def _vae(self) -> AutoencoderKL:
        return train_autoencoder(self._first_scenes(), self.work, self.machine)

    def _ablate_vae(self) -> None:
        folder = self.work / "ablations"
        sys.stdout.write(ablate_autoencoder(self._first_scenes(), folder, self.machine) + "\n")

    def _ablate_painter(self) -> None:
        folder, judge = self.work / "ablations", load_judge(self.work / "judge")
        data, vae = self._first_scenes(), self._vae()
        sys.stdout.write(ablate_painter(data, folder, self.machine, vae, judge) + "\n")

    def _cache(self) -> None:
        if (self.work / "latents.npy").exists():
            logger.info("the latents are cached already")
            return
        data = open_dataset(self.recipe, self.work)
        cache_masks(data, self.work)
        cache_latents(data, self.work, self.machine, self._vae())

    def _painter(self) -> Painter:
        return train_painter(open_dataset(self.recipe, self.work), self.work, self.machine)

    def _control(self) -> ControlNetModel:
        data = open_dataset(self.recipe, self.work)
        return train_control(data, self.work, self.machine, self._painter())

    def _sharpen(self) -> AutoencoderKL:
        data = open_dataset(self.recipe, self.work)
        judge = load_judge(self.work / "judge") if self.recipe.autoencoder.feature_weight else None
        return sharpen_decoder(data, self.work, self.machine, self._vae(), judge)

    def _judge(self) -> None:
        judge = train_judge(open_dataset(self.recipe, self.work), self.work, self.machine)
        save_judge(judge, self.work / "judge")

    @property
    def _upscaler_work(self) -> Path:
        return self.work / "upscaler"

    def _render_upscaler(self) -> None:
        render_pictures(self.recipe, self._upscaler_work, workers=torch.get_num_threads())
        # The shipped VAE: an upscaler is trained once the painter is done.
        vae = load_pipeline(self.target).vae
        cache_painted(self.recipe, self._upscaler_work, self.machine, vae)

    def _upscaler(self) -> Compact:
        judge = load_judge(self.target.with_name(JUDGE.name))
        return train_upscaler(self.recipe, self._upscaler_work, self.machine, judge)

    def _export_upscaler(self) -> None:
        export_upscaler(self._upscaler(), self.target.with_name(UPSCALER.name))

    def _export(self) -> None:
        data = open_dataset(self.recipe, self.work)
        sharpened = (self.work / "decoder.pt").exists()
        vae = self._sharpen() if sharpened else self._vae()
        painter = self._painter()
        control = train_control(data, self.work, self.machine, painter)
        export_pipeline(data, self.work, vae.cpu(), painter, self.target)
        export_control(control, self.target.with_name(CONTROL.name))
        save_judge(load_judge(self.work / "judge"), self.target.with_name(JUDGE.name))

    def _evaluate(self) -> None:
        pipeline, judge = load_pipeline(self.target), load_judge(self.work / "judge")
        control = load_control(self.target.with_name(CONTROL.name))
        upscaler = load_upscaler(self.recipe.upscaler, self.target.with_name(UPSCALER.name))
        report = evaluate(self.recipe, pipeline, judge)
        control_report = evaluate_control(self.recipe, pipeline, control, judge)
        upscaled = evaluate_upscaler(self.recipe, upscaler, judge, pipeline.vae)
        tables = (report.table(), control_report.table(), upscaler_table(upscaled))
        sys.stdout.write("\n\n".join(tables) + "\n")


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """Load the exported pipeline in fp32, offline."""
    return StableDiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )


def load_control(folder: Path) -> ControlNetModel:
    """Load the exported ControlNet in fp32, offline."""
    return ControlNetModel.from_pretrained(
        folder, torch_dtype=torch.float32, local_files_only=True, use_safetensors=True
    )


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m paintdiff.mini", description=__doc__)
    parser.add_argument("stage", choices=[*STAGES, *EXTRA_STAGES, "all", "sheet"])
    parser.add_argument(
        "--work", type=Path, default=Path(".training"), help="where stages keep state"
    )
    parser.add_argument("--recipe", type=Path, default=DEFAULT_RECIPE)
    parser.add_argument(
        "--target", type=Path, default=SHIPPED, help="where export writes the pipeline"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile: slow to start, then faster"
    )
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="what a plan's minutes are of; cpu: the processor's, over all threads",
    )
    parser.add_argument("--prompts", type=Path, help="sheet: a text file, one prompt a line")
    parser.add_argument(
        "--output", type=Path, default=Path("sheet.png"), help="sheet: the PNG to write"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    machine = Machine(
        torch.device(options.device), options.precision, options.compile, options.clock
    )
    try:
        recipe = read_recipe(options.recipe)
        if options.stage == "sheet":
            _sheet(recipe, options.target, options.prompts, options.output)
            return 0
        studio = Studio(recipe, options.work, machine, options.target)
        for stage in STAGES if options.stage == "all" else (options.stage,):
            studio.run(stage)
    except PaintError as error:
        parser.exit(2, f"{error}\n")
    return 0


def _sheet(recipe: Recipe, folder: Path, prompts_file: Path, output: Path) -> None:
    prompts = prompts_file.read_text(encoding="utf-8").splitlines()
    images = paint_prompts(
        recipe, load_pipeline(folder), [line for line in prompts if line.strip()]
    )
    contact_sheet(images, columns=8).save(output)


if __name__ == "__main__":
    raise SystemExit(main())
