"""Sentences about loading models: what is read, and why a model can't be loaded."""

from __future__ import annotations

from collections.abc import Sequence

# Reports of progress.


def reading_with_rest(name: str, companion: str) -> str:
    return f"Reading {name}, and the rest from {companion}"


def reading_unet(name: str) -> str:
    return f"Reading {name}: UNet"


def reading_part(name: str, part: str) -> str:
    return f"Reading {name}: {part}"


def converting(name: str) -> str:
    return f"Converting {name} to safetensors"


def converting_share(name: str, percent: int) -> str:
    return f"Converting {name} to safetensors: {percent} %"


# Converting a pickle.


def not_converted_because(name: str, reason: object) -> str:
    return f"{name} can't be converted: {reason}"


def not_converted(name: str) -> str:
    return f"{name} can't be converted"


def changed_while_converting(name: str) -> str:
    return f"{name} was changed while it was being converted."


def converting_cancelled(name: str) -> str:
    return f"Converting {name} was cancelled."


def reader_crashed(status: int) -> str:
    return f"the process that read it crashed (status {status})"


def no_room_to_convert(name: str, reason: str) -> str:
    return (
        f"The disk has too little room to convert {name} to safetensors: {reason}. Free some "
        "space, or get the .safetensors version."
    )


def bytes_needed(needed: int, free: int) -> str:
    return f"{needed:,} bytes are needed, but only {free:,} are free"


# Memory.

NOT_ENOUGH_MEMORY = (
    "Not enough memory for this picture. Paint it smaller, or choose a smaller model."
)


def not_enough_memory_for(what: str) -> str:
    return f"{what}: not enough memory. Close other programs, or choose a smaller model."


# Checkpoints in one file.


def unsupported_quantization(name: str, tensor: str, dtype: str) -> str:
    return (
        f"{name} uses a quantization that isn't supported ({tensor}: {dtype} with a scale). Get "
        "the version in bf16, fp16, fp8 or GGUF."
    )


def blockwise_scales(name: str, tensor: str, scales: object, shape: object) -> str:
    return (
        f"{name} has 8-bit weights with block-wise scales ({tensor}: {scales} for {shape}), which "
        "aren't supported. Get the version with one scale for each layer, or in bf16, fp16 or GGUF."
    )


def own_schedule(name: str, tensor: str) -> str:
    return (
        f"{name} uses its own noise schedule ({tensor}), which isn't supported in single files. "
        "Get the folder in diffusers' layout."
    )


IS_A_LORA = "is a LoRA, not a model: put it in the folder with LoRAs."
IS_A_CONTROLNET = "is a ControlNet, not a model: put it in the folder with ControlNets."
IS_AN_EMBEDDING = "is an embedding, not a model: put it in the folder with embeddings."
ONLY_A_UNET = (
    "contains only a UNet, without text encoder and VAE. Get the full checkpoint, or the folder in "
    "diffusers' layout."
)
IS_A_VAE = "is a VAE, not a model: put it in the folder with VAEs."
WITHOUT_UNET = "contains no Stable Diffusion UNet, so it can't be used as a model."


def only_part_of_a_model(name: str, parts: str) -> str:
    return (
        f"{name} contains no {parts}, so it is only part of a model. Get the full checkpoint, or "
        "the folder in diffusers' layout."
    )


def no_vae_of_its_family(name: str) -> str:
    return (
        f"{name} contains no VAE, and no VAE of its family was found. Put one in the folder vae of "
        "a models folder, or get the full checkpoint."
    )


def other_inputs(name: str, channels: int, paints: int, inpaints: int) -> str:
    return (
        f"{name} takes {channels} channels, so it is for depth maps, instructions or other inputs, "
        f"which aren't supported. Supported are {paints} channels, and {inpaints} for inpainting "
        "models."
    )


def other_width(name: str, family: str, widths: str, fitting: object) -> str:
    return (
        f"{name} isn't of the family {family}: it is for text embeddings of width {widths}, not "
        f"{fitting}."
    )


def contains_no_vae(name: str) -> str:
    return f"{name} contains no VAE. Choose one for it."


def other_layers(part: str, name: str, family: str) -> str:
    return f"The {part} in {name} doesn't have the layers of {family}"


def contains_not(name: str, part: str, problems: Sequence[str]) -> str:
    return f"{name} doesn't contain the {part}: {_first(problems)}."


def lacks_weights(name: str, part: str, companion: str, tensors: Sequence[str]) -> str:
    return f"{name} isn't the {part} of a model like {companion}: it lacks {_first(tensors)}."


def _first(texts: Sequence[str]) -> str:
    return texts[0] + (f" (and {len(texts) - 1:,} more)" if len(texts) > 1 else "")


def lacks(tensor: str) -> str:
    return f"it lacks {tensor}"


def is_unknown(tensor: str) -> str:
    return f"{tensor} is unknown"


def has_other_shape(tensor: str, shape: object, fitting: object) -> str:
    return f"{tensor} is {shape} and should be {fitting}"


def unknown_scheduler(name: str, scheduler: object) -> str:
    return f"{name} asks for the scheduler {scheduler!r}."


def no_single_file(title: str, families: str, family: str) -> str:
    return (
        f"{title} can't be read from a single file: that works for {families}, and the family "
        f"{family} isn't among them. Get it as a folder in diffusers' layout."
    )


def no_companion(name: str, family: str) -> str:
    return (
        f"{name} contains only the denoiser of {family}. Its text encoders, VAE and settings come "
        "from a model of that family in diffusers' layout, and none was found. Download one, or "
        "put its folder in the models folder."
    )


def not_loaded_as(name: str, part: str, companion: str) -> str:
    return f"{name} can't be loaded as the {part} of {companion}"


def denoiser_unreadable(companion: object) -> str:
    return f"The denoiser of {companion} can't be read from a single file."


def not_gguf(name: str) -> str:
    return f"{name} is damaged, or isn't GGUF as diffusers knows it"


def changed_while_reading(name: str) -> str:
    return f"{name} was changed while it was being read."


# Folders of diffusers.


def unknown_pipeline(folder: str, pipeline: object) -> str:
    return (
        f"{folder} names {pipeline!r:.100} as its pipeline, which isn't a diffusers class. "
        "Download the model again."
    )


def index_of_its_own(part: str) -> str:
    return f"{part} has an index of its own; a part of a pipeline isn't a pipeline."


def foreign_part(folder: str, part: str, value: object) -> str:
    return (
        f"{folder} asks for {part} from {value!r:.100}; only parts of diffusers and transformers "
        "are loaded."
    )


def not_a_part_class(folder: str, part: str, library: str, class_name: object) -> str:
    return (
        f"{folder} asks for {part} as {library}.{class_name!r:.100}, which isn't a network, "
        "scheduler, tokenizer or processor of this version."
    )


def unreadable(name: str, reason: object) -> str:
    return f"{name} can't be read: {reason}."


def not_a_file(name: str, what: str) -> str:
    return f"{name} is {what}, not a file."


def file_too_large(name: str, size_bytes: int, most: int) -> str:
    return f"{name} has {size_bytes:,} bytes; at most {most:,} are read."


def names_other_files(path: str) -> str:
    return f"{path} must name files beside it, but names others."


def prompts_too_long(part: str, tokens: float, most: int) -> str:
    return (
        f"The {part} of this model pads each prompt to {tokens:,} tokens (model_max_length); at "
        f"most {most:,} are supported."
    )


def no_prompt_length(part: str, value: object) -> str:
    return f"The {part} of this model has no usable model_max_length: {value!r:.40}."


def not_an_object(path: str) -> str:
    return f"{path} isn't a JSON object."


def list_too_long(path: str, key: str, length: int, most: int) -> str:
    return f"{path}: {key} is a list of {length:,}; at most {most:,} are read."


def number_too_large(path: str, key: str, number: int, most: int) -> str:
    return f"{path} says {key} = {number:,}; at most {most:,} is allowed. Download the model again."


def wrong_type(path: str, key: str, value: object, wanted: str) -> str:
    return f"{path} says {key} = {value!a:.60}; it should be {wanted}. Download the model again."


def no_config(part: str) -> str:
    return f"The {part} of this model has no config.json. Download the model again."


def tokenizer_does_not_fit(part: str, what: str, number: int, most: int) -> str:
    return (
        f"The {part} doesn't fit the text encoder of this model: its {what} is {number:,}; at most "
        f"{most:,} fits. Download the model again."
    )


DAMAGED_FILES = "Its files are probably damaged or don't fit together; download it again."


def cannot_do(title: str, task: str) -> str:
    return f"{title} can't do {task}."


def not_text_to_image(title: str, pipeline: object) -> str:
    return (
        f"{title} is a {pipeline}, which isn't among the text-to-image pipelines of this version "
        "of diffusers."
    )


def model_not_loaded(title: str) -> str:
    return f"The model {title} can't be loaded"


def lacks_parts(title: str, pipeline: str, parts: str) -> str:
    return f"{title} is a {pipeline}, which isn't supported: it has no {parts}."


def other_checksum(name: str, title: str, found: str, wanted: str) -> str:
    return (
        f"{name} isn't the expected file of {title}: its SHA-256 is {found} instead of {wanted}. "
        "Download it again."
    )


def only_inpaints(title: str, task: str) -> str:
    return f"{title} can only inpaint. Choose another model for {task}."


def file_missing(name: str, place: str) -> str:
    return f"{name} should be in {place}, which doesn't exist."


# ControlNets and VAEs.


def controlnet_not_loaded(title: str) -> str:
    return f"The ControlNet {title} can't be loaded"


def not_a_controlnet_for(name: str, wrong: str) -> str:
    return f"{name} doesn't contain the weights of a ControlNet for this model: {wrong}."


def vae_not_loaded(title: str) -> str:
    return f"The VAE {title} can't be loaded"


def vae_does_not_fit(
    vae: str, model: str, channels: int, factor: int, fitting: int, fitting_factor: int
) -> str:
    return (
        f"The VAE {vae} doesn't fit {model}: it has {channels} latent channels at a factor of "
        f"{factor}; the model needs {fitting} at {fitting_factor}."
    )


def vae_without_encoder(name: str) -> str:
    return (
        f"The VAE in {name} has no encoder, so it can't be used with an input picture. Choose "
        "another VAE, or paint from a prompt alone."
    )


def contains_not_the_vae(name: str, wrong: str) -> str:
    return f"{name} doesn't contain the VAE: {wrong}."


# How a model was trained.


def note_too_long(name: str, most: int) -> str:
    return f"{name} has more than {most:,} bytes."


def note_too_nested(name: str, most: int) -> str:
    return f"{name} has more than {most:,} lists."


def note_unreadable(name: str, reason: object) -> str:
    return f"{name}, which says how the model was trained, can't be read: {reason}"


def unknown_prediction(name: str, prediction: str, supported: str) -> str:
    return f"{name} says the model predicts {prediction!r}; supported are {supported}."


UNET_NOT_FINITE = "The UNet produces NaN values: its weights are damaged. Download the model again."


# Tokenizers.


def vocabulary_unreadable(path: object, reason: object) -> str:
    return f"CLIP's vocabulary {path} can't be read: {reason}"


def not_the_vocabulary(path: object, tokens: int) -> str:
    return f"{path} isn't CLIP's vocabulary: it has {tokens:,} tokens."


def config_unreadable(path: object, reason: object) -> str:
    return f"{path} can't be read: {reason}"


def unusable_tokenizer(name: str, reason: str) -> str:
    return f"{name} isn't a usable tokenizer: {reason}. Download the model again."


def too_many_patterns(count: int, most: int) -> str:
    return f"it has {count:,} patterns; at most {most} are read"


def pattern_too_long(length: int, most: int) -> str:
    return f"a pattern has {length:,} characters; at most {most:,} are read"


def takes_too_long(pattern: str) -> str:
    return f"{pattern} takes too long to match"


def refers_to_a_match(pattern: str) -> str:
    return f"{pattern} refers to an earlier match, or to itself"


def unsupported_group(pattern: str) -> str:
    return f"{pattern} has an unsupported kind of group"


def repeats_a_group(pattern: str) -> str:
    return f"{pattern} repeats a group, which can take very long"


def too_many_quantifiers(pattern: str, most: int) -> str:
    return f"{pattern} has more than {most} quantifiers in a row"


def the_pattern(pattern: str) -> str:
    return f"the pattern {pattern!r}"


# Language models.


def cannot_load_language_model(title: str) -> str:
    return f"The language model {title} can't be loaded"


def not_a_gpt2(kind: str) -> str:
    return f'Its config.json says that it is a "{kind}"; only "gpt2" can be used.'


def wrong_network_size(name: str, size: str, most: int) -> str:
    return f"Its config.json has {name} = {size}; it must be 1 to {most}."


def weights_do_not_fit(name: str) -> str:
    return f"Its weights don't fit its config.json: {name} is missing or has another shape."


def vocabulary_damaged(file: str) -> str:
    return f"Its {file} is damaged or doesn't fit its config.json."
