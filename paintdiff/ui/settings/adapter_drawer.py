"""The drawer for adapters and what prompts mean: LoRAs, VAE, clip skip, refiner and FreeU.

The prompt names LoRAs and embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from paintdiff.jobs.request_parts import FreeU, LoraInput, Refiner
from paintdiff.jobs.requests import MAX_CLIP_SKIP, PaintingRequest
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow, VaeRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import LoraTag, split_lora_tags, write_tag
from paintdiff.ui.common import messages as common
from paintdiff.ui.common import widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages, prompt_language
from paintdiff.ui.settings.lora_rows import lora_rows

if TYPE_CHECKING:
    from paintdiff.models.registry.base_rows import WeightsRow

OWN_VAE = "own"
NO_REFINER = "none"
FIRST_SWITCH = Refiner(model="any").switch_at
FREE_U = FreeU()
_FACTORS = {
    "b1": messages.BACKBONE_1,
    "b2": messages.BACKBONE_2,
    "s1": messages.SKIP_1,
    "s2": messages.SKIP_2,
}
MAX_FACTOR = 2.0

_ROWS_SCRIPT = """
const mount = () => window.paintdiff?.adapters?.mount(element);
mount();
watch("value", mount);
element.addEventListener("tags", () => trigger("input"));
"""


class AdapterDrawer:
    """The components of a request's `vae`, `clip_skip`, `refiner`, `free_u` and prompt language.

    Two pickers write LoRAs and embeddings into the prompt.
    """

    def __init__(self, context: PageContext, ids: Ids) -> None:
        self.context = context
        self._ids = ids
        self._notes: dict[str, Note] = {}

    # Layout

    def add(self) -> None:
        """Add the drawer to the page."""
        first = self.context.model(self.context.default_model)
        with widgets.drawer(messages.LORAS_AND_MORE, self._ids("adapter-drawer")):
            self._add_words()
            self.language = self._add(
                "emphasis",
                gr.Dropdown,
                list(prompt_language.CHOICES),
                value=prompt_language.USUAL,
                label=messages.BRACKETS,
                info=messages.BRACKETS_HELP,
                filterable=False,
            )
            self.vae = self._add(
                "vae",
                gr.Dropdown,
                label=messages.VAE,
                filterable=False,
                **self._vaes(first.name, None),
            )
            self.clip_skip = self._add(
                "clip-skip",
                gr.Slider,
                1,
                MAX_CLIP_SKIP,
                1,
                step=1,
                label=messages.CLIP_SKIP,
                info=messages.CLIP_SKIP_INFO,
                visible=first.family.supports_clip_skip,
            )
            self.refiner = self._add(
                "refiner",
                gr.Dropdown,
                label=messages.REFINER,
                filterable=False,
                **self._refiners(first.name, None),
            )
            self.switch_at = self._add(
                "switch-at",
                gr.Slider,
                0,
                1,
                FIRST_SWITCH,
                step=0.05,
                label=messages.REFINE_FROM,
                info=messages.REFINE_FROM_INFO,
                visible=False,
            )
            self._add_free_u(first)

    def _add_words(self) -> None:
        self.lora = self._picker("lora", messages.ADD_A_LORA, messages.ADD_A_LORA_INFO)
        self.rows = gr.HTML(
            "",
            elem_id=self._ids("loras"),
            elem_classes=["lora-rows-place"],
            js_on_load=_ROWS_SCRIPT,
            apply_default_css=False,
        )
        self._notes["loras"] = add_note(self._ids, "loras")
        self.embedding = self._picker(
            "embedding", messages.ADD_AN_EMBEDDING, messages.ADD_AN_EMBEDDING_INFO
        )

    def _picker(self, name: str, label: str, info: str) -> gr.Dropdown:
        """Add a dropdown whose choices load when it is opened: there may be thousands."""
        return gr.Dropdown(
            [],
            value=None,
            label=label,
            info=info,
            filterable=True,
            elem_id=self._ids(name),
            elem_classes=["picker"],
        )

    def _add_free_u(self, row: ModelRow) -> None:
        self.factors: dict[str, gr.Slider] = {}
        self.free_u_group = gr.Column(
            visible=takes_free_u(row), elem_classes=["free-u"], elem_id=self._ids("free-u-group")
        )
        with self.free_u_group:
            self.free_u = gr.Checkbox(
                False,
                label=messages.FREE_U,
                elem_id=self._ids("free-u"),
                elem_classes=["turns-on"],
            )
            self._notes["free_u"] = add_note(self._ids, "free-u")
            with gr.Column(elem_classes=["free-u-factors"]):
                for name, label in _FACTORS.items():
                    self.factors[name] = gr.Slider(
                        0,
                        MAX_FACTOR,
                        getattr(FREE_U, name),
                        step=0.05,
                        label=label,
                        elem_id=self._ids(f"free-u-{name}"),
                    )

    def _add(self, name: str, component: Any, *arguments: Any, **settings: Any) -> Any:
        """Make a component with an id and a place for an error below it."""
        made = component(*arguments, elem_id=self._ids(name), **settings)
        self._notes[name.replace("-", "_")] = add_note(self._ids, name)
        return made

    # Part of a request

    def inputs(self) -> dict[str, Component]:
        """Return the components that are part of a request, by the keys of their storage."""
        return {
            "prompt_language": self.language,
            "vae": self.vae,
            "clip_skip": self.clip_skip,
            "refiner": self.refiner,
            "switch_at": self.switch_at,
            "free_u": self.free_u,
            **{f"free_u_{name}": slider for name, slider in self.factors.items()},
        }

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        loras = {f"loras.{index}.name": self._notes["loras"] for index in range(4)}
        return {
            **loras,
            "loras": self._notes["loras"],
            "emphasis": self._notes["emphasis"],
            "vae": self._notes["vae"],
            "clip_skip": self._notes["clip_skip"],
            "refiner": self._notes["refiner"],
            "refiner.model": self._notes["refiner"],
            "refiner.switch_at": self._notes["switch_at"],
            "free_u": self._notes["free_u"],
        }

    def read(self, values: Values) -> dict[str, object]:
        """Return the request's fields."""
        refiner = values[self.refiner]
        factors = {name: values[slider] for name, slider in self.factors.items()}
        return {
            **prompt_language.read_language(values[self.language]),
            "vae": None if values[self.vae] in (None, OWN_VAE) else values[self.vae],
            "clip_skip": values[self.clip_skip],
            "refiner": None
            if refiner in (None, NO_REFINER)
            else {"model": refiner, "switch_at": values[self.switch_at]},
            "free_u": factors if values[self.free_u] else None,
        }

    # Choices

    def wire(self, prompt: gr.Textbox, model: gr.Dropdown, quick: Mapping[str, Any]) -> None:
        """Register events for a prompt box and a model dropdown."""
        self.lora.focus(self._offer_loras, [model], [self.lora], **quick)
        self.embedding.focus(self._offer_embeddings, [model], [self.embedding], **quick)
        asked: list[Any] = [prompt, model]
        self.lora.input(
            self._choose_lora, [self.lora, *asked], [self.lora, prompt, self.rows], **quick
        )
        self.embedding.input(
            self._choose_embedding, [self.embedding, prompt], [self.embedding, prompt], **quick
        )
        gr.on([self.rows.input, model.change], self._rows, asked, [self.rows], **quick)
        element = self._ids("loras")
        prompt.change(
            None, [prompt], None, js=f"(text) => paintdiff.adapters.typed('{element}', text)"
        )
        model.change(
            self._offer_fitting,
            [model, self.vae, self.refiner],
            [self.vae, self.refiner, self.clip_skip, self.free_u_group],
            **quick,
        )
        self.refiner.change(
            lambda chosen: gr.Slider(visible=chosen not in (None, NO_REFINER)),
            [self.refiner],
            [self.switch_at],
            **quick,
        )

    def _rows(self, prompt: object, model: object) -> str:
        catalog = self.context.engine.manager.catalog
        return lora_rows(str(prompt or ""), self.context.model(model), catalog, self._ids("prompt"))

    def _offer_loras(self, model: object) -> gr.Dropdown:
        """Offer the LoRAs that fit the model, then those that may fit."""
        row = self.context.model(model)
        found = self.context.engine.manager.catalog.fitting(LoraRow, row)
        info = "" if found else messages.none_found(row.title)
        return gr.Dropdown(choices=_choices(found), value=None, info=info)

    def _offer_embeddings(self, model: object) -> gr.Dropdown:
        row = self.context.model(model)
        found = self.context.engine.manager.catalog.fitting(EmbeddingRow, row)
        info = "" if found else messages.none_found(row.title)
        return gr.Dropdown(choices=_choices(found), value=None, info=info)

    def _choose_lora(self, chosen: object, prompt: object, model: object) -> tuple[Any, ...]:
        text = str(prompt or "")
        if isinstance(chosen, str) and chosen:
            text = insert_tag(text, chosen)
        return None, text, self._rows(text, model)

    def _choose_embedding(self, chosen: object, prompt: object) -> tuple[Any, ...]:
        text = str(prompt or "").rstrip()
        if isinstance(chosen, str) and chosen and chosen.casefold() not in text.casefold():
            text = f"{text}, {chosen}" if text else chosen
        return None, text

    def _offer_fitting(self, model: object, vae: object, refiner: object) -> tuple[Any, ...]:
        """Offer the VAEs, refiners and FreeU that fit a model."""
        row = self.context.model(model)
        return (
            gr.Dropdown(**self._vaes(row.name, vae)),
            gr.Dropdown(**self._refiners(row.name, refiner)),
            gr.Slider(visible=row.family.supports_clip_skip),
            gr.Column(visible=takes_free_u(row)),
        )

    def _vaes(self, model: str, chosen: object) -> dict[str, Any]:
        rows = self.context.engine.manager.catalog.fitting(VaeRow, self.context.model(model))
        return _offer([(messages.MODELS_OWN_VAE, OWN_VAE), *_choices(rows)], chosen)

    def _refiners(self, model: str, chosen: object) -> dict[str, Any]:
        row = self.context.model(model)
        fitting = [
            (other.label, other.name)
            for other in self.context.engine.manager.catalog.rows(ModelRow)
            if other.family.name in row.family.refiners and other.name != row.name
        ]
        return _offer([(common.NONE, NO_REFINER), *fitting], chosen)

    # Settings from elsewhere

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        model = self.context.model(memory.settings.get("model"))
        factors = {
            slider: memory.number(f"free_u_{name}", getattr(FREE_U, name), 0, MAX_FACTOR)
            for name, slider in self.factors.items()
        }
        return {
            self.rows: self._rows(memory.text("prompt"), model.name),
            self.language: memory.choice(
                "prompt_language",
                [value for _, value in prompt_language.CHOICES],
                prompt_language.USUAL,
            ),
            self.vae: gr.Dropdown(**self._vaes(model.name, memory.settings.get("vae"))),
            self.clip_skip: memory.number("clip_skip", 1, 1, MAX_CLIP_SKIP),
            self.refiner: gr.Dropdown(**self._refiners(model.name, memory.settings.get("refiner"))),
            self.switch_at: memory.number("switch_at", FIRST_SWITCH, 0, 1),
            self.free_u: memory.switch("free_u"),
            **factors,
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture.

        A VAE or refiner that isn't here is replaced by the model's own.
        """
        model = self.context.model(request.model).name
        refiner = request.refiner
        factors = request.free_u or FREE_U
        return {
            self.rows: self._rows(replace_in_prompt(request.prompt, request.loras), model),
            self.language: prompt_language.choose_language(request),
            self.vae: gr.Dropdown(**self._vaes(model, request.vae)),
            self.clip_skip: request.clip_skip,
            self.refiner: gr.Dropdown(**self._refiners(model, refiner and refiner.model)),
            self.switch_at: FIRST_SWITCH if refiner is None else refiner.switch_at,
            self.free_u: request.free_u is not None,
            **{slider: getattr(factors, name) for name, slider in self.factors.items()},
        }


def takes_free_u(row: ModelRow) -> bool:
    """Return whether FreeU works with a model."""
    return row.family.denoiser == "unet"


def insert_tag(prompt: str, name: str, weight: float = 1.0) -> str:
    """Append a LoRA's tag to the prompt, unless it names that LoRA already."""
    if name in [tag.name for tag in split_lora_tags(prompt)[1]]:
        return prompt
    return f"{prompt.rstrip()} {write_tag(LoraTag(name, weight, weight))}".lstrip()


def replace_in_prompt(prompt: str, loras: Iterable[LoraInput]) -> str:
    """Write a request's separate LoRAs into its prompt as tags, as the page stores them."""
    named = [tag.name for tag in split_lora_tags(prompt)[1]]
    tags = [_tag(lora) for lora in loras if lora.name not in named]
    return " ".join([prompt.rstrip(), *tags]).strip() if tags else prompt


def _tag(lora: LoraInput) -> str:
    words = lora.weight if lora.text_encoder_weight is None else lora.text_encoder_weight
    return write_tag(LoraTag(lora.name, lora.weight, words))


def _choices(rows: Iterable[WeightsRow]) -> list[tuple[str, str]]:
    return [(row.title, row.name) for row in rows]


def _offer(choices: Sequence[tuple[str, str]], chosen: object) -> dict[str, Any]:
    names = [name for _, name in choices]
    value = chosen if chosen in names else names[0]
    return {"choices": list(choices), "value": value, "visible": len(choices) > 1}
