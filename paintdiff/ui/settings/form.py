"""The settings of a painting job, the same in every painting tab."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.imaging.geometry import MAX_SIDE_PX, MIN_SIDE_PX, Size
from paintdiff.jobs.requests import MAX_SEED, MAX_TIME_BUDGET_SECONDS, PaintingRequest
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note
from paintdiff.ui.common.updates import Updates
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages
from paintdiff.ui.settings.form_fields import (
    FIRST_QUALITY,
    MAX_GUIDANCE_OFFERED,
    MAX_IMAGES_OFFERED,
    MAX_STEPS_OFFERED,
    FormFields,
    list_samplers,
    list_sizes,
    quality_text,
)

_REQUESTED = (
    "model",
    "quality",
    "profile",
    "width",
    "height",
    "seed",
    "num_images",
    "time_budget_seconds",
    "negative_prompt",
    "num_inference_steps",
    "guidance_scale",
    "sampler",
    "variation_strength",
    "variation_seed",
)
_MATCHING_PRESET = "(width, height) => `${width}x${height}`"


@dataclass(frozen=True)
class Form:
    """The components.

    Those of `request_inputs` are named as in the request; `notes` has a place for an error beside
    each. The size is only part of a request if `sized`; `final_size` describes the size after all
    steps.
    """

    context: PageContext
    sized: bool
    model: gr.Dropdown
    quality: gr.Radio
    profile: gr.Radio
    size_group: gr.Column
    size_preset: gr.Radio
    width: gr.Number
    swap: gr.Button
    height: gr.Number
    final_size: gr.HTML
    seed: gr.Number
    dice: gr.Button
    keep_seed: gr.Checkbox
    num_images: gr.Slider
    time_budget_seconds: gr.Number
    negative_prompt: gr.Textbox
    num_inference_steps: gr.Slider
    guidance_scale: gr.Slider
    sampler: gr.Dropdown
    variation_strength: gr.Slider
    variation_seed: gr.Number
    notes: Mapping[str, Note]

    @classmethod
    def build(
        cls,
        context: PageContext,
        ids: Ids,
        *,
        sized: bool = True,
        size_shown: bool = True,
        before_more: Callable[[], None] = lambda: None,
    ) -> Form:
        """Add the settings to the page, filled with the default model's own values.

        Without `sized` the size isn't part of a request; without `size_shown` it is hidden at
        first. `before_more` adds what comes before the drawer of rarely used settings.
        """
        fields = FormFields(context, ids, context.model(context.default_model))
        fields.add_model()
        fields.add_size(sized and size_shown)
        fields.add_seed()
        fields.add(
            "num_images", gr.Slider, 1, MAX_IMAGES_OFFERED, 1, step=1, label=messages.PICTURES
        )
        before_more()
        with gr.Accordion(
            messages.MORE_SETTINGS, open=False, elem_id=ids("more"), elem_classes=["more"]
        ):
            fields.add_more()
        return cls(context, sized, **fields.made, notes=fields.notes)

    def request_inputs(self) -> dict[str, Component]:
        """Return the components whose values are part of a request, by field."""
        names = [name for name in _REQUESTED if self.sized or name not in ("width", "height")]
        return {name: getattr(self, name) for name in names}

    def wire(self, **quick: Any) -> None:
        """Register events. `quick` are the settings of each."""
        chosen: set[Any] = {self.model, self.quality, self.profile}
        brought: list[Any] = [self.quality, self.num_inference_steps, self.guidance_scale]
        self.quality.input(self._choose_quality, chosen, brought, **quick)
        brought += [self.profile, self.sampler]
        self.profile.input(self._choose_profile, chosen, brought, **quick)
        sides: list[Any] = [self.width, self.height]
        others = [self.size_preset, *sides]
        self.model.input(self._choose_model, chosen, [*brought, *others], **quick)
        self.size_preset.input(self._choose_size, [self.size_preset], sides, **quick)
        for side in (self.width, self.height):
            side.change(None, sides, [self.size_preset], js=_MATCHING_PRESET)
        self.swap.click(None, sides, sides, js="(width, height) => [height, width]")
        drawn = f"crypto.getRandomValues(new Uint32Array(1))[0] % {MAX_SEED + 1}"
        self.dice.click(None, None, [self.seed, self.keep_seed], js=f"() => [{drawn}, true]")
        # A typed seed is meant to be kept; -1 means a random one in other programs.
        written = "(seed) => Number.isFinite(seed) && seed !== -1"
        self.seed.input(None, [self.seed], [self.keep_seed], js=written)

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings; what no longer fits becomes the model's own."""
        row = self.context.model(memory.settings.get("model"))
        quality = memory.choice(
            "quality", [name for name, _ in self.context.qualities], FIRST_QUALITY
        )
        profiles = self.context.profiles
        profile = memory.choice("profile", profiles.names(), profiles.usual)
        painter = self.context.model_with_profile(row.name, profile)
        figures = painter.figures(quality)
        steps, guidance = figures.num_inference_steps, figures.guidance_scale
        return {
            **(self._restore_size(memory, row) if self.sized else {}),
            self.model: self._offer_models(row.name),
            self.quality: gr.Radio(value=quality, info=quality_text(painter, quality)),
            self.profile: self._offer_profile(profile, row.name),
            self.seed: memory.number("seed", None, 0, MAX_SEED),
            self.keep_seed: memory.switch("keep_seed"),
            self.num_images: memory.number("num_images", 1, 1, MAX_IMAGES_OFFERED),
            self.time_budget_seconds: memory.number(
                "time_budget_seconds", None, 0, MAX_TIME_BUDGET_SECONDS
            ),
            self.negative_prompt: memory.text("negative_prompt"),
            self.num_inference_steps: memory.number(
                "num_inference_steps", steps, 1, MAX_STEPS_OFFERED
            ),
            self.guidance_scale: memory.number("guidance_scale", guidance, 0, MAX_GUIDANCE_OFFERED),
            self.sampler: list_samplers(painter, memory.settings.get("sampler")),
            self.variation_strength: memory.number("variation_strength", 0, 0, 1),
            self.variation_seed: memory.number("variation_seed", None, 0, MAX_SEED),
        }

    def _restore_size(self, memory: BrowserState, row: ModelRow) -> Updates:
        native = row.native_size
        width = memory.number("width", native.width, MIN_SIDE_PX, MAX_SIDE_PX)
        height = memory.number("height", native.height, MIN_SIDE_PX, MAX_SIDE_PX)
        return {
            self.size_preset: gr.Radio(choices=list_sizes(row), value=f"{width}x{height}"),
            self.width: width,
            self.height: height,
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture, and keep its seed.

        Unknown settings stay unchanged.
        """
        row = next((row for row in self.context.models if row.name == request.model), None)
        painter = row or self.context.model(self.context.default_model)
        fits = request.sampler in painter.family.sampler_names()
        updates: Updates = {
            self.model: self._offer_models(request.model) if row is not None else None,
            self.profile: self._known_profile(request.profile, painter.name),
            self.width: request.width if self.sized else None,
            self.height: request.height if self.sized else None,
            self.seed: request.seed,
            self.keep_seed: True if request.seed is not None else None,
            self.num_inference_steps: request.num_inference_steps,
            self.guidance_scale: request.guidance_scale,
            self.sampler: list_samplers(painter, request.sampler) if fits else None,
        }
        return {
            self.time_budget_seconds: None,
            self.negative_prompt: request.negative_prompt,
            self.variation_strength: request.variation_strength,
            self.variation_seed: request.variation_seed,
            **{component: value for component, value in updates.items() if value is not None},
        }

    def with_model(self, name: str, values: Mapping[Any, Any]) -> Updates:
        """Return updates that choose a model, with its own sizes and settings.

        `values` are those of `model_inputs`.
        """
        chosen = self._choose_model({**values, self.model: name})
        return {**chosen, self.model: self._offer_models(name)}

    def model_inputs(self) -> tuple[Any, ...]:
        """Return the components that determine a model's settings."""
        return self.model, self.quality, self.profile

    def model_outputs(self) -> list[Any]:
        """Return the components that `with_model` changes."""
        figures = [self.quality, self.num_inference_steps, self.guidance_scale, self.sampler]
        return [self.model, *figures, self.profile, self.size_preset, self.width, self.height]

    def _offer_models(self, name: str) -> gr.Dropdown:
        """Return the model dropdown with the current choices and one selected.

        The page accepts a new name only together with its choices.
        """
        return gr.Dropdown(choices=self.context.model_choices(), value=name)

    def _offer_profile(self, name: str, model: object, *, again: bool = False) -> gr.Radio:
        """Return the profiles with one selected, and its description or its LoRA's.

        If a picture is painted `again`, also say what may differ.
        """
        few, profile = self.context.few_steps(model, name), self.context.profiles.profile(name)
        says = profile.says
        if few is not None:
            says = messages.few_steps(few.lora.title)
        return gr.Radio(value=name, info=f"{says} {profile.repeating}" if again else says)

    def _known_profile(self, name: str | None, model: str) -> gr.Radio | None:
        if name is None or name not in self.context.profiles.names():
            return None
        return self._offer_profile(name, model, again=True)

    def _choose_profile(self, values: Mapping[Any, Any]) -> Updates:
        """Describe a profile.

        If one of them has a few-step LoRA for the model, set the steps, guidance and sampler that
        belong to the chosen profile.
        """
        model, name = values[self.model], str(values[self.profile])
        updates: Updates = {self.profile: self._offer_profile(name, model)}
        if not any(self.context.few_steps(model, each) for each in self.context.profiles.names()):
            return updates
        sampler = list_samplers(self.context.model_with_profile(model, name))
        return {**updates, **self._choose_quality(values), self.sampler: sampler}

    def _choose_quality(self, values: Mapping[Any, Any]) -> Updates:
        row = self.context.model_with_profile(values[self.model], values[self.profile])
        quality = str(values[self.quality] or FIRST_QUALITY)
        figures = row.figures(quality)
        return {
            self.quality: gr.Radio(value=quality, info=quality_text(row, quality)),
            self.num_inference_steps: figures.num_inference_steps,
            self.guidance_scale: figures.guidance_scale,
        }

    def _choose_model(self, values: Mapping[Any, Any]) -> Updates:
        row = self.context.model_with_profile(values[self.model], values[self.profile])
        sizes = list_sizes(row)
        return {
            **self._choose_quality(values),
            self.size_preset: gr.Radio(choices=sizes, value=sizes[0]),
            self.width: row.sizes[0].width,
            self.height: row.sizes[0].height,
            self.sampler: list_samplers(row),
            self.profile: self._offer_profile(str(values[self.profile]), row.name),
        }

    def _choose_size(self, text: str) -> tuple[int, int]:
        size = Size.parse(text)
        return size.width, size.height
