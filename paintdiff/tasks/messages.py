"""Sentences of the tasks: notes about pictures, warnings, and errors while painting."""

from __future__ import annotations

from textwrap import shorten

from paintdiff.prompts.words import quote_words

# Notes about one picture.

NOTHING_PAINTED = "At a strength of 0 nothing is painted."


def blended(windows: str) -> str:
    return f"Painted{windows}, blended at every step."


def through_windows(count: int, size: object) -> str:
    return f" through {count} windows of {size}"


def painted_by_inpainting_model(channels: int) -> str:
    return f"Painted with an inpainting model ({channels} channels)."


def painted_by_general_model(channels: int, *, blended: bool) -> str:
    how = ": the unmasked part was blended in at every step" if blended else ""
    return f"Painted with a general model ({channels} channels){how}."


NOTHING_CHANGED_OUTSIDE = "0 pixels changed outside the mask (all were compared)."


def not_refined(wanted: object, kept: object) -> str:
    return f"Not enough memory to refine at {wanted}, so the picture stays at {kept}."


def refined(
    enlarged: str, strength: float, steps: int, windows: str, controlnet: str | None
) -> str:
    count = "1 step" if steps == 1 else f"{steps} steps"
    guided = f", guided by the ControlNet {controlnet}" if controlnet else ""
    return f"{enlarged}, then refined at a strength of {strength:g} in {count}{windows}{guided}."


def enlarged(first: object, size: object, upscaler: str | None) -> str:
    by = f"with {upscaler}" if upscaler else "in latent space"
    return f"Painted at {first}, enlarged to {size} {by}"


def upscaled(source: object, target: object, upscaler: str) -> str:
    return f"Upscaled {source} to {target} with {upscaler}."


def smaller_tiles(used_px: int, planned_px: int) -> str:
    return (
        f"Memory ran low, so it was upscaled in tiles of {used_px} pixels instead of {planned_px}."
    )


def upscaled_in_float32(upscaler: str) -> str:
    return (
        f"Half precision produced NaN values with {upscaler}, so it upscaled in float32, which "
        "takes longer."
    )


# Notes about faces.


def restored_faces(count: int, restorer: str) -> str:
    return f"Restored {_count_faces(count)} with {restorer}."


def faces_failed(count: int, reason: str) -> str:
    return f"{_count_faces(count)} couldn't be restored: {reason}"


NO_FACE = "No face was found."


def too_many_faces(found: int, restored: int) -> str:
    return f"{found} faces were found; the {restored} largest were restored."


def faces_too_small(count: int) -> str:
    return f"{_count_faces(count)} {'is' if count == 1 else 'are'} too small to be restored."


def _count_faces(count: int) -> str:
    return "1 face" if count == 1 else f"{count} faces"


FACES_UNCHANGED = "Faces are unchanged at a strength of 0."


def faces_unchanged_because(reason: str) -> str:
    return f"Faces are unchanged: {reason}"


FACE_FAILED = "A face failed"
LANDMARKS_IN_ONE_PLACE = "its landmarks are all in one place"
FACE_OUTSIDE = "it lies outside the picture"


# Warnings about sizes, strengths and canvases.


def size_changed(how: str) -> str:
    return f"The picture's size was changed: {how}"


FACTOR_WITHOUT_EFFECT = "The loopback's strength factor has no effect on a single pass."


def strength_at_most_one(number: int) -> str:
    return f"From pass {number} on the strength is 1, the maximum."


BLANK_CANVAS = (
    "The canvas is blank, so the whole picture is painted with your strokes as a guide. To paint "
    "only part of it, add a mask."
)
MASK_COVERS_EVERYTHING = "The mask covers every pixel, so the whole picture is repainted."


def content_without_effect_at_zero(masked_content: str) -> str:
    return f"The masked content ({masked_content}) had no effect at a strength of 0."


def content_without_effect_at_one(masked_content: str) -> str:
    return (
        f"The masked content ({masked_content}) had no effect: a strength of 1 starts from noise "
        "alone."
    )


SKETCH_WITHOUT_EFFECT = (
    "The sketch's colours had no effect: a strength of 1 starts from noise alone."
)


def soft_picture(size: object, canvas: object) -> str:
    return (
        f"The picture was painted at {size} and enlarged to {canvas}, so it is soft. For a sharper "
        f"one start from a canvas of {size} and upscale when done."
    )


def soft_area(area: object, size: object, *, only_masked: bool) -> str:
    advice = "" if only_masked else " To keep more detail, paint only the masked part."
    return (
        f"An area of {area} was painted at {size} and enlarged, so it is less sharp than the "
        f"rest.{advice}"
    )


def soft_inpainting_without_effect(model: str) -> str:
    return (
        f"{model} is an inpainting model, so soft inpainting had no effect while painting; a grey "
        "mask only blended the result."
    )


# Warnings about the prompt and the model.


def unknown_words(model: str, words: tuple[str, ...]) -> str:
    them = "it" if len(words) == 1 else "them"
    return f"{model} doesn't know {quote_words(words)}, so the picture may leave {them} out."


def unknown_words_to_avoid(model: str, words: tuple[str, ...]) -> str:
    them = "it" if len(words) == 1 else "them"
    return f"{model} doesn't know {quote_words(words)}, so the negative prompt can't avoid {them}."


def prompt_too_long(which: str, model: str, end: str, *, t5_only: bool) -> str:
    shown = shorten(end, 80, placeholder=" …")
    ignored = "its T5 text encoder ignored the end" if t5_only else "its end was ignored"
    return f"The {which} is too long for {model}, so {ignored}: “{shown}”."


def no_word_known(model: str, words: tuple[str, ...], subjects: tuple[str, ...]) -> str:
    such = f", such as {', '.join(subjects[:3])}" if subjects else ""
    return (
        f"{model} knows none of these words: {quote_words(words)}. So the picture doesn't show "
        f"them. It paints one subject at a time{such}."
    )


def word_read_as(model: str, word: str, near: str) -> str:
    return f"{model} doesn't know “{word[:40]}” and reads “{near}”."


def word_not_known(model: str, word: str) -> str:
    return f"{model} doesn't know “{word[:40]}”."


def closest_instead(model: str, words: tuple[str, ...]) -> str:
    return f"{model} can't paint {quote_words(words, 4)}. It can paint:"


def subjects_instead(model: str, words: tuple[str, ...]) -> str:
    return f"{model} can't paint {quote_words(words, 4)}. It paints one subject at a time:"


def knows_few_words(model: str, count: int) -> str:
    return f"{model} knows {count} words. For pictures of anything else, get a larger model."


def end_not_read(model: str, most: int, *, t5_only: bool) -> str:
    who = f"The T5 text encoder of {model}" if t5_only else model
    return f"{who} reads {most} tokens. It won't see what follows."


def words_read_as(model: str, replaced: tuple[tuple[str, str], ...]) -> str:
    unknown = quote_words(tuple(word for word, _near in replaced))
    near = quote_words(tuple(dict.fromkeys(near for _word, near in replaced)))
    were = "was" if len(replaced) == 1 else "were"
    return f"{model} doesn't know {unknown}, which {were} read as {near}."


def profile_not_supported(model: str, profile: str, lacking: tuple[str, ...]) -> str:
    return f"{model} doesn't support all of {profile}; painted without {' and '.join(lacking)}."


def torch_instead(reason: str) -> str:
    return f"Painted with torch instead of OpenVINO: {reason}."


def clip_skip_without_effect(clip_skip: int, model: str, why: str) -> str:
    return f"A clip skip of {clip_skip} has no effect on {model}: {why}."


ALWAYS_THAT_LAYER = "it always uses that layer"
NO_CLIP_SKIP = "its text encoder doesn't support it"


def refiner_without_effect(why: str, passes: int) -> str:
    where = "" if passes == 1 else " in at least one pass"
    return f"The refiner has no effect{where}: {why}."


def switch_leaves_no_steps(switch_at: float) -> str:
    return f"a switch at {switch_at:g} leaves it no steps. Switch earlier, or use more steps"


def switch_before_painting(switch_at: float) -> str:
    return (
        f"a switch at {switch_at:g} comes before painting begins. Switch later, or raise the "
        "strength"
    )


def unknown_family(model: str, pipeline: str) -> str:
    return (
        f"{model} is a {pipeline}, an unknown family: it is painted with diffusers' defaults, "
        "without previews."
    )


def guidance_without_effect(guidance_scale: float, model: str) -> str:
    return (
        f"The guidance scale of {guidance_scale:g} had no effect: {model} is guided only with a "
        "negative prompt."
    )


def negative_prompt_without_effect(model: str) -> str:
    return f"The negative prompt had no effect: {model} is guidance-distilled."


# Errors.

NOTHING_TO_INVERT = "Nothing to invert: the mask is empty."


def sizes_differ(field: str, size: object, picture: object) -> str:
    return f"The {field} is {size}, but the picture is {picture}. They must have the same size."


def canvas_too_large(size: object, area: int, most: int) -> str:
    return (
        f"The canvas would be {size}, {area:,} pixels; at most {most:,} are possible. Grow it less."
    )


EMPTY_MASK = (
    "The mask is empty. Paint over what should change, sketch something, or grow the picture."
)


def mask_too_faint(mask_blur_px: float) -> str:
    return (
        f"The mask is too small or faint for a mask blur of {mask_blur_px:g} pixels. Paint more, "
        "or blur less."
    )


def picture_not_stored(what: str, sha256: str | None) -> str:
    which = f" (its SHA-256 is {sha256})" if sha256 else ""
    return f"The {what} isn't stored in the file these settings come from{which}. Open it again."


def changed_outside(pixels: int) -> str:
    return (
        f"{pixels:,} pixels outside the mask would have changed, so the picture was discarded. "
        "This is a bug in the app: please report it with your settings."
    )


def of_picture(number: int, reason: object) -> str:
    return f"Picture {number}: {reason}"
