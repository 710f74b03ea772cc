"""Sentences about requests being resolved: values that can't be used, or have no effect."""

from __future__ import annotations

# What a model's family can't do.


def unknown_request(kind: str) -> str:
    return f"The engine can't run a {kind}."


def more_warnings(count: int) -> str:
    return f"{count} more notes about pictures of this grid are left out."


def task_not_supported(model: str, family: str, task: str, able: str) -> str:
    return f"{model} ({family}) can't do {task}, only {able}. Choose another model."


def controlnets_not_supported(model: str, family: str) -> str:
    return (
        f"{model} ({family}) doesn't support ControlNets. Leave them out, or choose another model."
    )


def hires_not_supported(model: str, family: str) -> str:
    return (
        f"{model} ({family}) doesn't support the hires fix, because it has no image to image. "
        "Upscale the result instead."
    )


def windows_not_supported(model: str, family: str) -> str:
    return f"{model} ({family}) can't paint in windows. Turn tiling off."


def subject_may_repeat(size: object, native: object, model: str) -> str:
    return (
        f"{size} is much larger than {native}, the native size of {model}, so the subject may be "
        "repeated."
    )


# A time budget.


def speed_unknown(model: str) -> str:
    return (
        f"How fast {model} is on this machine isn't known yet, so the time budget wasn't used. It "
        "is measured with this picture; the next one keeps to it."
    )


def chosen_for_budget(steps: int, profile: str, size: object, seconds: float, budget: float) -> str:
    chosen = f"{steps} {'step' if steps == 1 else 'steps'} at {size} in the speed {profile}"
    if seconds > budget:
        return (
            f"{budget:g} s aren't enough: {chosen} take about {seconds:.1f} s, and less isn't "
            "possible."
        )
    return f"For a time of {budget:g} s: {chosen}, about {seconds:.1f} s."


# Sampling: size, sampler, steps, strength, seeds.


def size_rounded(wanted: object, size: object, model: str, multiple: int) -> str:
    return f"The size {wanted} became {size}: {model} paints in multiples of {multiple} pixels."


def sampler_not_supported(sampler: str, model: str, family: str, fitting: str) -> str:
    return f"{sampler} can't be used with {model} ({family}), which takes {fitting}."


def too_many_steps(sampler: str, most: int, asked: int) -> str:
    return f"{sampler} takes at most {most} steps, not {asked}."


def fewer_steps_used(sampler: str, most: int, preset: int) -> str:
    return f"{sampler} takes at most {most} steps, so {most} were used instead of {preset}."


def washed_out(model: str, sampler: str) -> str:
    return (
        f"{model} starts from pure noise, which {sampler} doesn't support, so the picture may look "
        "washed out. Use DDIM or Euler."
    )


def strength_leaves_no_steps(strength: float, steps: int, least: float) -> str:
    return (
        f"A strength of {strength:g} leaves none of the {steps} steps to run. Use {least:g} or "
        "more, more steps, or 0 for no change."
    )


def negative_prompt_not_supported(family: str) -> str:
    return f"The negative prompt has no effect: {family} doesn't support it."


def negative_prompt_without_guidance(guidance_scale: float) -> str:
    return (
        f"The negative prompt has no effect at a guidance scale of {guidance_scale:g}; it needs "
        "more than 1."
    )


VARIATION_SEED_WITHOUT_EFFECT = "The variation seed has no effect at a variation strength of 0."


def seed_too_large(picture: int, what: str, seed: int, largest: int, start: int) -> str:
    return (
        f"Picture {picture} would have the {what} {seed}; the largest is {largest}. Start at "
        f"{start} or less."
    )


# The hires fix and upscaling.


def enlarged_too_large(first: object, scale: float, reason: object) -> str:
    return f"{first} enlarged {scale:g} times is too large: {reason}"


def scale_without_effect(scale: float, first: object, model: str, multiple: int) -> str:
    return (
        f"A scale of {scale:g} doesn't change {first}: {model} paints in multiples of {multiple} "
        "pixels. Enlarge more."
    )


def enlarged_size_rounded(exact: object, size: object, model: str, multiple: int) -> str:
    return (
        f"The enlarged size {exact} became {size}: {model} paints in multiples of {multiple} "
        "pixels."
    )


def latents_stay_soft(strength: float) -> str:
    return (
        f"Enlarged latents stay soft at a strength of {strength:g}. Use a higher strength, or an "
        "upscaler."
    )


def always_available(upscaler: str) -> str:
    return f"{upscaler!r} is always available."


NO_UPSCALER = "No upscaler found. Put one in the folder upscale_models of a models folder."


def face_restorers_belong_in(folder: str) -> str:
    return f"Put face restorers, such as GFPGANv1.4.pth, in the folder {folder} of a models folder."


def no_face_detector(restorer: str, folder: str) -> str:
    return (
        f"{restorer} needs a face detector: put YuNet's face_detection_yunet_2023mar.onnx in the "
        f"folder {folder} of a models folder."
    )


# ControlNets.


def no_controlnet(model: str, family: str) -> str:
    return (
        f"No ControlNet found for {model} ({family}). Put one in the folder controlnet of a models "
        "folder, or start with --controlnet."
    )


def controlnet_for_another_family(
    controlnet: str, family: str, model: str, models_family: str, fitting: str
) -> str:
    instead = f"Choose one of: {fitting}." if fitting else "None fits this model."
    return (
        f"The ControlNet {controlnet} is for {family}, but {model} is of the family "
        f"{models_family}. {instead}"
    )


def control_without_strictness(which: str) -> str:
    return f"{which} has no effect at a strictness of 0."


def control_without_steps(which: str, start: float, end: float) -> str:
    return (
        f"{which} has no effect: no step lies between start {start:g} and end {end:g}. Use more "
        "steps, or a wider range."
    )


def the_control(number: int, count: int) -> str:
    return f"ControlNet {number}" if count > 1 else "The ControlNet"


def other_preprocessor(controlnet: str, expected: str, given: str) -> str:
    return f"{controlnet} was made for {expected}, not for {given}, so it may not follow this map."


# LoRAs and embeddings.


def unreadable_lora_tag(tag: str) -> str:
    return f"{tag} can't be read as a LoRA, so it stayed in the prompt. Write <lora:name:0.8>."


LORA_IN_NEGATIVE_PROMPT = "A LoRA in the negative prompt has no effect. Write it in the prompt."


def too_many_loras(count: int, most: int) -> str:
    return f"{count} LoRAs are too many; at most {most} can be used together."


def the_lora(lora: str) -> str:
    return f"The LoRA {lora}"


def lora_weight_out_of_range(lora: str, weight: float, most: float) -> str:
    return f"The LoRA {lora} has a weight of {weight:g}; it may be -{most:g} to {most:g}."


def lora_without_effect(lora: str) -> str:
    return f"The LoRA {lora} has no effect at a weight of 0."


def lora_used_often(lora: str, times: int, weight: float) -> str:
    return f"The LoRA {lora} is used {times} times; the weights add up to {weight:g}."


def for_another_family(what: str, family: str, model: str, models_family: str) -> str:
    return f"{what} is for {family}, but {model} is of the family {models_family}. Choose another."


def ambiguous_embedding(count: int, word: str, names: str) -> str:
    return f"{count} embeddings are called {word}, so it is read as a word. Write one of: {names}."


def embedding_for_another_family(
    embedding: str, families: str, model: str, models_family: str
) -> str:
    theirs = families or "an unknown family"
    return (
        f"The embedding {embedding} has no effect: it is for {theirs}, but {model} is of the "
        f"family {models_family}."
    )


def used_few_step_lora(profile: str, lora: str) -> str:
    return f"{profile} used the LoRA {lora}, which needs few steps."


def few_step_lora_unused(profile: str, lora: str, steps: int, guidance: float, why: str) -> str:
    return (
        f"{profile} didn't use the LoRA {lora} ({steps} steps, guidance {guidance:g}), because "
        f"{why}."
    )


OTHER_SETTINGS = "other settings were chosen"


def loras_already(count: int) -> str:
    return f"there are {count} LoRAs already"


# The VAE, the refiner and IP-Adapters.


def the_vae(vae: str) -> str:
    return f"The VAE {vae}"


def no_vae_of_its_own(model: str, vae: str) -> str:
    return f"{model} has no VAE of its own, so {vae} is used."


def refiner_not_supported(model: str, family: str) -> str:
    return f"{model} ({family}) doesn't support a refiner."


def refiner_does_not_fit(refiner: str, family: str, model: str, families: str) -> str:
    return f"{refiner} ({family}) can't refine {model}. Choose a refiner of the family {families}."


def own_refiner(model: str) -> str:
    return f"{model} can't be its own refiner."


def switch_at_zero(model: str, refiner: str) -> str:
    return f"A switch at 0 leaves {model} no steps. Switch later, or paint with {refiner} alone."


SWITCH_AT_ONE = "The refiner has no effect: a switch at 1 leaves it no steps."
CONTROLNETS_BEFORE_REFINER = "ControlNets act until the refiner takes over."


def the_ip_adapter(ip_adapter: str) -> str:
    return f"The IP-Adapter {ip_adapter}"


def no_ip_adapter(model: str, family: str) -> str:
    return (
        f"No IP-Adapter found for {model} ({family}). Put one in the folder ipadapter of a models "
        "folder."
    )


def no_image_encoder(ip_adapter: str) -> str:
    return (
        f"The IP-Adapter {ip_adapter} needs its CLIP image encoder: put the folder with its "
        "config.json and model.safetensors in the folder clip_vision of a models folder."
    )


def ip_adapter_without_effect(ip_adapter: str) -> str:
    return f"The IP-Adapter {ip_adapter} has no effect at a scale of 0."


# The prompt language.


def too_many_parts(count: int, most: int) -> str:
    return f"The prompt has {count} parts between AND; at most {most} can be painted together."


def too_many_changes(count: int, most: int) -> str:
    return (
        f"The prompt changes {count} times; at most {most} changes can be painted. Use fewer "
        "[from:to:when] or [a|b]."
    )


def mistake_at(mistake: str, place: str) -> str:
    return f"{mistake} See “{place}”."


def weights_not_supported(model: str) -> str:
    return (
        f"Weights and BREAK have no effect on {model}: its text encoder doesn't support them. The "
        "words are read without brackets."
    )


def parts_not_supported(model: str) -> str:
    return f"{model} doesn't support AND, so only the first prompt is read."


def changes_not_supported(model: str) -> str:
    return (
        f"{model} doesn't support prompts that change during the run, so it reads the words of the "
        "first step."
    )


# Branches.

BRANCH_WITH_REFINER = (
    "A run with a refiner can't be continued with other settings. Remove it first."
)
BRANCH_WITH_LOOPBACK = (
    "A run of several passes (loopback) can't be continued with other settings. Choose one pass."
)
BRANCH_TEMPLATE = (
    "The prompt to continue with is used as it is: braces and wildcards are read as words. Write "
    "one of the choices."
)
LORAS_CANNOT_CHANGE = (
    "The LoRAs of a run can't change on the way. Use the original prompt's <lora:...> tags, or "
    "none."
)
PARTS_CANNOT_CHANGE = (
    "A prompt with AND can only be continued with as many parts, of the same weights."
)


def branch_outside(step: int, first: int, last: int) -> str:
    if first > last:
        return f"The run has too few steps to be continued after step {step}."
    return f"The run can be continued after step {first} to {last}, not {step}."


def prompt_cannot_change(model: str) -> str:
    return (
        f"The prompt can't change during a run of {model}, or of a prompt that is read as plain "
        "text. Change the guidance or the seed instead."
    )


def guidance_cannot_change(model: str) -> str:
    return f"The guidance of {model} can't change during a run."


def guidance_cannot_cross_one(before: float, after: float) -> str:
    return (
        f"The guidance can't change from {before:g} to {after:g} during a run: at 1 or less there "
        "is none. Stay on the same side of 1."
    )


def branch_seed_without_effect(sampler: str) -> str:
    return (
        f"The other seed has no effect: {sampler} adds no noise on the way. Euler a and DPM++ 2M "
        "SDE do."
    )


# Wildcards.


def wrong_number_of_expansions(given: int, wanted: int) -> str:
    return f"There are {given} expansions for {wanted} pictures: give as many, or none."


def expanded_too_long(characters: int, most: int) -> str:
    return f"With its styles and wildcards it has {characters} characters; at most {most} fit."


def more_combinations(used: int) -> str:
    return f"The prompt has more than {used} combinations; only the first {used} are used."


def combinations_left(count: int, painted: int) -> str:
    return (
        f"The prompt has {count} combinations, of which {painted} are painted. Set the number of "
        f"pictures to {count}, or go on from the seed after the last one."
    )
