"""The bodies of the web UI's requests, with its names and its defaults.

Any field may be null, which is the same as leaving it out. Fields that have no effect here are
accepted; they are named in a warning, unless they have a value that asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from paintdiff.api.painting import LenientBody

MAX_BATCH = 10_000
"""Larger numbers than could be painted, so that their product is the error that people see."""

WholeNumber = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A number of 64 bits. Python's have thousands of digits, which no float can hold."""

_EXAMPLE: JsonValue = {"prompt": "a red house", "steps": 20, "width": 128, "height": 128, "seed": 7}
_PICTURE = "<base64>"


def give_example(**fields: JsonValue) -> ConfigDict:
    """Return the configuration of a body with an example for the documentation."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


_NOTHING_ASKED: Mapping[str, tuple[object, ...]] = {
    "restore_faces": (False,),
    "tiling": (False,),
    "do_not_save_grid": (False, True),
    "eta": (None, 0, 1),
    "s_churn": (None, 0),
    "s_min_uncond": (None, 0),
    "s_tmax": (None, 0),
    "s_tmin": (None, 0),
    "s_noise": (None, 1),
    "seed_resize_from_w": (-1, 0),
    "seed_resize_from_h": (-1, 0),
    "override_settings_restore_afterwards": (True,),
    "disable_extra_networks": (False,),
    "firstpass_image": (None, ""),
    "firstphase_width": (0,),
    "firstphase_height": (0,),
    "hr_checkpoint_name": (None, "", "Use same checkpoint"),
    "hr_sampler_name": (None, "", "Use same sampler"),
    "hr_scheduler": (None, "", "Use same scheduler"),
    "hr_prompt": ("",),
    "hr_negative_prompt": ("",),
    "hr_additional_modules": (None, [], ["Use same choices"]),
    "hr_cfg": (None, 1),
    "image_cfg_scale": (None, 1.5),
    "initial_noise_multiplier": (None, 1),
    "latent_mask": (None, ""),
    "mask_round": (True,),
    "infotext": (None, ""),
    "comments": (None, {}),
    "script_args": ([],),
}
"""Fields without an effect here: first the web UI's default, then other values that are alike."""
_ONLY = {
    "hr_": "txt2img",
    "first": "txt2img",
    "image_cfg": "img2img",
    "initial_": "img2img",
    "latent_": "img2img",
    "mask_": "img2img",
}
"""How fields begin that only one of the two has."""


class A1111Body(LenientBody):
    """A body of the web UI's. null stands for the default."""

    model_config = ConfigDict(allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        given = cast("dict[str, object]", values)
        return {name: value for name, value in given.items() if value is not None}

    def list_ignored(self) -> tuple[str, ...]:
        """Return a warning about fields that have no effect here, and ask for something."""
        extra = self.model_extra or {}
        asked = {
            name: value
            for name, value in extra.items()
            if not any(value == each for each in _NOTHING_ASKED.get(name, ()))
        }
        return LenientBody.model_validate(asked).list_ignored()


class PaintBody(A1111Body):
    """Hold the fields that txt2img and img2img share.

    Open values are the model's: `steps`, `cfg_scale`, the sampler and the size have no defaults.
    """

    prompt: str = ""
    negative_prompt: str = ""
    styles: list[str] = Field(default_factory=list[str])
    seed: WholeNumber = -1
    subseed: WholeNumber = -1
    subseed_strength: float = 0.0
    sampler_name: str = ""
    sampler_index: str = ""
    scheduler: str = ""
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 1
    n_iter: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 1
    steps: WholeNumber | None = None
    cfg_scale: float | None = None
    distilled_cfg_scale: float | None = None
    width: WholeNumber | None = None
    height: WholeNumber | None = None
    clip_skip: WholeNumber | None = None
    refiner_checkpoint: str = ""
    refiner_switch_at: float | None = None
    override_settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict[str, Any])
    script_name: str = ""
    send_images: bool = True
    save_images: bool | None = None
    do_not_save_samples: bool = False
    force_task_id: Annotated[str, Field(max_length=200)] = ""

    @property
    def saves(self) -> bool:
        """Return whether the pictures go into the gallery: unless the client says otherwise."""
        return self.save_images is not False and not self.do_not_save_samples

    @property
    def num_images(self) -> int:
        """Return the number of pictures."""
        return self.batch_size * self.n_iter


class TextToImageBody(PaintBody):
    """A request to txt2img."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    enable_hr: bool = False
    denoising_strength: float | None = None
    hr_scale: float = 2.0
    hr_upscaler: str = "Latent"
    hr_second_pass_steps: Annotated[WholeNumber, Field(ge=0)] = 0
    hr_resize_x: Annotated[WholeNumber, Field(ge=0)] = 0
    hr_resize_y: Annotated[WholeNumber, Field(ge=0)] = 0


class ImageToImageBody(PaintBody):
    """A request to img2img: with a `mask` it repaints what is white there."""

    model_config = give_example(prompt="a red house", init_images=[_PICTURE])

    init_images: list[str] = Field(default_factory=list[str])
    denoising_strength: float = 0.75
    resize_mode: Literal[0, 1, 2, 3] = 0
    mask: str = ""
    mask_blur: float | None = None
    mask_blur_x: float = 4.0
    mask_blur_y: float = 4.0
    inpainting_fill: Literal[0, 1, 2, 3] = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: WholeNumber = 0
    inpainting_mask_invert: bool = False
    include_init_images: bool = False


class FileData(BaseModel):
    """A picture of a batch."""

    data: str
    name: Annotated[str, Field(max_length=1000)] = ""


class ExtrasBody(A1111Body):
    """Hold the fields that the upscaling requests share."""

    resize_mode: Literal[0, 1] = 0
    show_extras_results: bool = True
    gfpgan_visibility: Annotated[float, Field(ge=0, le=1)] = 0.0
    codeformer_visibility: Annotated[float, Field(ge=0, le=1)] = 0.0
    upscaling_resize: float = 2.0
    upscaling_resize_w: Annotated[WholeNumber, Field(ge=1)] = 512
    upscaling_resize_h: Annotated[WholeNumber, Field(ge=1)] = 512
    upscaling_crop: bool = True
    upscaler_1: str = "None"

    @model_validator(mode="after")
    def _drop_what_asks_for_nothing(self) -> Self:
        extra = self.model_extra or {}
        unused = {"upscaler_2": "None", "extras_upscaler_2_visibility": 0, "codeformer_weight": 0}
        for name, value in {**unused, "upscale_first": False}.items():
            if extra.get(name) == value:
                del extra[name]
        return self


class ExtraSingleImageBody(ExtrasBody):
    """A request to enlarge a picture."""

    model_config = give_example(image=_PICTURE, upscaler_1="mini-upscaler")

    image: str = ""


class ExtraBatchImagesBody(ExtrasBody):
    """A request to enlarge pictures."""

    model_config = give_example(imageList=[{"data": _PICTURE}], upscaler_1="mini-upscaler")

    image_list: Annotated[list[FileData], Field(alias="imageList")]


class PngInfoBody(A1111Body):
    """A request for the settings in a picture."""

    model_config = give_example(image=_PICTURE)

    image: str = ""


def echo_parameters(body: PaintBody, used: Mapping[str, object]) -> dict[str, Any]:
    """Return the request as the web UI repeats it: with its defaults, and with the values `used`.

    Pictures are left out, except the init images if the client asks for them.
    """
    other = "img2img" if isinstance(body, TextToImageBody) else "txt2img"
    begins = tuple(begin for begin, of in _ONLY.items() if of == other)
    defaults = {
        name: values[0] for name, values in _NOTHING_ASKED.items() if not name.startswith(begins)
    }
    said = body.model_dump()
    parameters = {
        **defaults,
        **said,
        **{n: v for n, v in used.items() if said.get(n) in (None, "")},
    }
    parameters["alwayson_scripts"] = _without_pictures(parameters["alwayson_scripts"])
    if isinstance(body, ImageToImageBody) and not body.include_init_images:
        parameters |= {"init_images": None, "mask": None}
    return parameters


_LONGEST_TEXT = 2000


def _without_pictures(value: Any) -> Any:
    """Return a script's values without long texts, which are pictures."""
    if isinstance(value, dict):
        return {
            name: _without_pictures(each) for name, each in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, list):
        return [_without_pictures(each) for each in cast("list[Any]", value)]
    return None if isinstance(value, str) and len(value) > _LONGEST_TEXT else value
