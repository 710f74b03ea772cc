"""The recipe: everything that determines the embedded model, in one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from paintdiff.errors import WorldError
from paintdiff.mini.world import WorldConfig, subject_names

DEFAULT_RECIPE = Path(__file__).with_name("recipe.yaml")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorldPart(_Frozen):
    """The part of the world that is painted, and how often each thing is; see `WorldConfig`.

    Omitted names mean everything that the edition has.
    """

    edition: int = 0
    scenery: tuple[str, ...] | None = None
    subjects: tuple[str, ...] | None = None
    colours: tuple[str, ...] | None = None
    times_of_day: tuple[str, ...] | None = None
    weathers: tuple[str, ...] | None = None
    seasons: tuple[str, ...] | None = None
    styles: tuple[str, ...] | None = None
    subject_probability: float = Field(ge=0, le=1)
    colour_probability: float = Field(ge=0, le=1)
    weather_probability: float = Field(ge=0, le=1)
    season_probability: float = Field(ge=0, le=1)
    style_probability: float = Field(ge=0, le=1)
    several_probability: float = Field(ge=0, le=1)
    companion_probability: float = Field(default=0.0, ge=0, le=1)
    part_probability: float = Field(default=0.0, ge=0, le=1)
    max_count: int = Field(ge=1)

    def config(self) -> WorldConfig:
        """Return it as a WorldConfig, checked against the world's tables.

        Raises WorldError for an unknown name.
        """
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        given.setdefault("subjects", subject_names(self.edition))
        return WorldConfig(**given)


class Plan(_Frozen):
    """The length and speed of one network's training.

    Training ends after `steps` steps or `minutes` of work, whichever comes first. The learning rate
    (peak `learning_rate`) rises over `warmup_steps` and falls to a hundredth along a cosine over
    that span. `ema_decay` is the decay of the shipped average.
    """

    steps: int = Field(gt=0)
    minutes: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    ema_decay: float = Field(ge=0, lt=1)


class AutoencoderRecipe(_Frozen):
    """The VAE: pixels (-1..1) to latents, each level after the first halving the side.

    It learns from the first `scenes` (0: all) and, for a `leaves_share` of the crops, from dead
    leaves. With a `feature_weight` the decoder is also sharpened by the judge's features and a
    discriminator.
    """

    block_out_channels: tuple[int, ...]
    latent_channels: int = Field(default=4, gt=0)
    scenes: int = Field(default=0, ge=0)
    leaves_share: float = Field(default=0.0, ge=0, le=1)
    discriminator_channels: tuple[int, ...] = (32, 64, 96)
    feature_weight: float = Field(default=0.0, ge=0)
    adversarial_weight: float = Field(default=0.0, ge=0)
    critic_weight: float = Field(default=0.0, ge=0)
    layers_per_block: int
    norm_num_groups: int
    crop_px: int = Field(multiple_of=8)
    whole_picture_share: float = Field(
        ge=0, le=1, description="last part of the run, on whole pictures"
    )
    gradient_weight: float
    kl_weight: float
    anchor_weight: float
    plan: Plan
    decoder_plan: Plan


class TextEncoderRecipe(_Frozen):
    """The shape of the text encoder."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int


class PainterRecipe(_Frozen):
    """The text encoder and UNet, trained together on cached latents.

    Pictures of the subjects that `subject_shares` names are drawn that many times as often as
    others.
    """

    text_encoder: TextEncoderRecipe
    block_out_channels: tuple[int, ...]
    attention: tuple[bool, ...]
    layers_per_block: int
    head_channels: int
    caption_dropout: float = Field(ge=0, le=1)
    junk_word_probability: float = Field(ge=0, le=1)
    middle_share: float = Field(ge=0, le=1)
    middle_timesteps: tuple[int, int]
    subject_weight: float = Field(ge=1)
    subject_shares: dict[str, Annotated[float, Field(gt=0)]]
    reading_weight: float = Field(ge=0)
    prediction: Literal["v_prediction", "epsilon", "sample"] = "v_prediction"
    min_snr_gamma: float | None = Field(default=None, gt=0)
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2", "flow"]
    beta_start: float
    beta_end: float
    words_plan: Plan
    plan: Plan


class ControlRecipe(_Frozen):
    """The ControlNet.

    `conditioning_channels` has one entry more than the VAE halves the side. Of the maps
    `scribble_share` are scribbles, the others Canny edges; `subject_share` show the subject alone,
    and `rough_share` are drawn less steadily.
    """

    conditioning_channels: tuple[int, ...]
    scribble_share: float = Field(ge=0, le=1)
    subject_share: float = Field(ge=0, le=1)
    rough_share: float = Field(ge=0, le=1)
    plan: Plan


class JudgeRecipe(_Frozen):
    """The classifier of pictures."""

    channels: tuple[int, ...]
    plan: Plan


class UpscalerRecipe(_Frozen):
    """The upscaler and its training set: `paintings` and `leaves` of `side_px`.

    It sees crops of them that measure `crop_px` before they are enlarged `factor` times. Of these
    crops `harmed_share` are damaged and `painted_share` went through the painter's VAE (never
    leaves). From `adversarial_from` on (a fraction of the run) it is a GAN.
    """

    num_feat: int = Field(gt=0)
    num_conv: int = Field(gt=0)
    factor: int = Field(ge=2, le=4)
    paintings: int = Field(gt=0)
    leaves: int = Field(ge=0)
    side_px: int = Field(multiple_of=32)
    crop_px: int = Field(multiple_of=8)
    harmed_share: float = Field(ge=0, le=1)
    painted_share: float = Field(ge=0, le=1)
    discriminator_channels: tuple[int, ...]
    adversarial_from: float = Field(ge=0, le=1)
    squared_weight: float = Field(ge=0)
    feature_weight: float = Field(ge=0)
    adversarial_weight: float = Field(ge=0)
    critic_weight: float = Field(ge=0)
    plan: Plan


class EvaluationRecipe(_Frozen):
    """The settings that measure the figures of the model card."""

    prompts: int
    control_pairs: int
    upscaled: int
    num_inference_steps: int
    guidance_scale: float
    sampler: str


class Ablation(_Frozen):
    """Variants of one part: the changed values, by name.

    Each is trained for `minutes` and measured on that many held-out pictures.
    """

    minutes: float = Field(gt=0)
    pictures: int = Field(gt=0)
    variants: dict[str, dict[str, Any]]


class Ablations(_Frozen):
    """The variants that the stages `ablate-vae` and `ablate-painter` compare."""

    autoencoder: Ablation = Ablation(minutes=20, pictures=48, variants={"as it is": {}})
    painter: Ablation = Ablation(minutes=40, pictures=100, variants={"as it is": {}})


class Recipe(_Frozen):
    """The whole recipe.

    One in `held_out_one_in` compositions (scenery, subject, colour, time) is never trained. Scenes
    are painted `oversampling` times as large and then scaled down.
    """

    version: Literal[1]
    size_px: int = Field(multiple_of=8)
    oversampling: int = Field(default=1, ge=1, le=4)
    scenes: int = Field(gt=0)
    held_out_one_in: int = Field(gt=1)
    seed: int
    world: WorldPart
    autoencoder: AutoencoderRecipe
    painter: PainterRecipe
    control: ControlRecipe
    judge: JudgeRecipe
    upscaler: UpscalerRecipe
    evaluation: EvaluationRecipe
    ablations: Ablations = Ablations()

    @model_validator(mode="after")
    def _shares_are_of_subjects(self) -> Self:
        strangers = sorted(set(self.painter.subject_shares) - set(self.world.config().subjects))
        if strangers:
            raise ValueError(f"subject_shares names what isn't painted: {', '.join(strangers)}")
        return self

    @property
    def latent_side(self) -> int:
        """Return the side of the latents, in latents."""
        return self.size_px // 2 ** (len(self.autoencoder.block_out_channels) - 1)


def read_recipe(path: Path = DEFAULT_RECIPE) -> Recipe:
    """Read and check a recipe. Raises WorldError, naming the file and the first bad key."""
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise WorldError(f"The recipe {path} can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise WorldError(f"The recipe {path} doesn't fit at {key}: {first['msg']}.") from error
