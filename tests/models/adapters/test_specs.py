"""Every kind of adapter: it acts, and leaves the exact pixels of before. On tiny models of two
families.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from paintdiff.errors import JobCancelledError, ModelError, ModelLoadError
from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters import applied
from paintdiff.models.adapters.lora import Loras
from paintdiff.models.adapters.specs import (
    NO_ADAPTERS,
    Adapters,
    FreeUFactors,
    IpAdapterUse,
    LoraUse,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import int8_weights
from paintdiff.models.memory.plans import USUAL_PLAN, Placement, Plan
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files

RUN = Denoising("a red house, mystyle", "boat", Size(64, 64), 2, 5.0, "DDIM", seed=3)
FREE_U = FreeUFactors(1.5, 1.6, 0.9, 0.2)
IP_RUN = replace(RUN, ip_pictures=(Image.effect_noise((40, 40), 80).convert("RGB"),))


@dataclass(frozen=True)
class Painter:
    """A manager over one tiny model with adapters of every kind."""

    manager: ModelManager
    model: str
    folder: Path

    def latents(
        self,
        adapters: Adapters = NO_ADAPTERS,
        run: Denoising = RUN,
        plan: Plan = USUAL_PLAN,
    ) -> torch.Tensor:
        with self.manager.lease(self.model, adapters=adapters, plan=plan) as leased:
            return leased.denoise(run, lambda _step, _preview: None)

    def pixels(self, adapters: Adapters = NO_ADAPTERS) -> bytes:
        with self.manager.lease(self.model, adapters=adapters) as leased:
            latents = leased.denoise(RUN, lambda _step, _preview: None)
            return leased.decode(latents).tobytes()


def painter_of(folder: Path, place: Path) -> Painter:
    catalog = Catalog.default().with_source(str(folder))
    model = catalog.rows(ModelRow)[-1]
    family = model.family.name
    with ModelManager(catalog, device="cpu").lease(model.name) as leased:
        parts = leased.pipeline.components
    layers = files.lora_layers(parts)
    rows, columns = (
        files.in_kohya_dora_keys(layers, files.magnitudes_of(parts, layers, of_inputs=of_inputs))
        for of_inputs in (False, True)
    )
    widths = [
        parts[name].config.hidden_size
        for name in ("text_encoder", "text_encoder_2")
        if parts.get(name) is not None
    ]
    vectors = [
        torch.randn(3, width, generator=torch.Generator().manual_seed(5)) for width in widths
    ]
    names = ["emb_params"] if len(vectors) == 1 else ["clip_l", "clip_g"]
    encoder = files.save_tiny_image_encoder(place / "clip")
    catalog = files.with_adapters(
        catalog,
        loras=(
            files.lora_row(files.saved(place / "peft.safetensors", files.in_peft_keys(layers))),
            files.lora_row(
                files.saved(place / "diffusers.safetensors", files.in_diffusers_keys(layers))
            ),
            files.lora_row(files.saved(place / "kohya.safetensors", files.in_kohya_keys(layers))),
            files.lora_row(
                files.saved(
                    place / "other.safetensors",
                    files.in_peft_keys(files.lora_layers(parts, seed=1, rank=3)),
                )
            ),
            files.lora_row(
                files.saved(
                    place / "words.safetensors",
                    files.in_kohya_keys(files.lora_layers(parts, only="text_encoder")),
                )
            ),
            files.lora_row(
                files.saved(place / "half.safetensors", files.in_kohya_keys(layers, alpha=1.0))
            ),
            files.lora_row(files.saved(place / "foreign.safetensors", FOREIGN)),
            files.lora_row(files.saved(place / "rows.safetensors", rows)),
            files.lora_row(files.saved(place / "columns.safetensors", columns)),
        ),
        embeddings=(
            files.embedding_row(
                files.saved(place / "mystyle.safetensors", dict(zip(names, vectors, strict=True))),
                family,
            ),
            files.embedding_row(
                files.saved(place / "wide.safetensors", {"emb_params": torch.ones(2, 99)}), family
            ),
        ),
        vaes=(
            files.vae_row(files.save_tiny_vae(place / "vae", parts["vae"]), family),
            files.vae_row(
                files.save_tiny_vae(place / "deep", parts["vae"], latent_channels=8), family
            ),
        ),
        ip_adapters=(
            files.ip_adapter_row(
                files.saved(place / "ip.safetensors", files.ip_adapter_tensors(parts["unet"])),
                encoder,
                family,
            ),
        ),
    )
    # It reads the words anew for each picture, or nobody would see what was left in text encoders.
    return Painter(ModelManager(catalog, device="cpu", prompt_cache_bytes=0), model.name, place)


FOREIGN = {
    "unet.down_blocks.7.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": torch.ones(
        2, 768
    ),
    "unet.down_blocks.7.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight": torch.ones(
        320, 2
    ),
}


@pytest.fixture(scope="module")
def sd1(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Painter:
    return painter_of(tiny_folder, tmp_path_factory.mktemp("sd1"))


@pytest.fixture(scope="module")
def sdxl(tiny_xl_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Painter:
    return painter_of(tiny_xl_folder, tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(params=["sd1", "sdxl"])
def painter(request: pytest.FixtureRequest) -> Painter:
    return request.getfixturevalue(request.param)


def lora(name: str, weight: float = 1.0, text_encoder_weight: float | None = None) -> Adapters:
    text = weight if text_encoder_weight is None else text_encoder_weight
    return Adapters(loras=(LoraUse(name, weight, text),))


EVERY_KIND = {
    "lora": (lora("peft"), RUN),
    "text encoder lora": (lora("words"), RUN),
    "dora of rows": (lora("rows"), RUN),
    "dora of columns": (lora("columns", 0.7), RUN),
    "embedding": (Adapters(embeddings=("mystyle",)), RUN),
    "free_u": (Adapters(free_u=FREE_U), RUN),
    "ip_adapter": (Adapters(ip_adapters=(IpAdapterUse("ip", 0.8),)), IP_RUN),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_it_acts_and_leaves_the_exact_pixels_of_before(painter: Painter, kind: str) -> None:
    adapters, run = EVERY_KIND[kind]
    before = painter.latents()
    changed = painter.latents(adapters, run)
    assert not torch.allclose(changed, before, atol=1e-3)
    assert torch.equal(painter.latents(adapters, run), changed)
    assert torch.equal(painter.latents(), before)


@pytest.mark.parametrize("placement", ["encoders", "models", "groups", "leaves"])
def test_they_act_wherever_weights_wait(sd1: Painter, placement: Placement) -> None:
    before = sd1.latents()
    for adapters, run in EVERY_KIND.values():
        resident = sd1.latents(adapters, run)
        assert torch.equal(sd1.latents(adapters, run, Plan(placement)), resident)
    assert torch.equal(sd1.latents(plan=Plan(placement)), before)
    assert torch.equal(sd1.latents(), before)


def test_they_act_on_weights_in_eight_bits(
    painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly as on others, and they leave nothing behind."""
    monkeypatch.setattr(int8_weights, "LEAST_NUMBERS", 1)
    usual = {kind: painter.latents(*asked) for kind, asked in EVERY_KIND.items()}
    plan = Plan(int8_weights=True)
    before = painter.latents(plan=plan)
    for kind, (adapters, run) in EVERY_KIND.items():
        found = painter.latents(adapters, run, plan)
        assert not torch.allclose(found, before, atol=1e-3), kind
        assert (found - usual[kind]).abs().mean() < 0.05 * usual[kind].std(), kind
        assert torch.equal(painter.latents(plan=plan), before), kind


def test_all_kinds_at_once_leave_nothing_behind(painter: Painter) -> None:
    before = painter.latents()
    everything = Adapters(
        loras=(LoraUse("peft"), LoraUse("other", 0.5, 0.2), LoraUse("rows"), LoraUse("columns")),
        embeddings=("mystyle",),
        vae="vae",
        free_u=FREE_U,
        ip_adapters=(IpAdapterUse("ip", 0.8),),
    )
    assert not torch.allclose(painter.latents(everything, IP_RUN), before, atol=1e-3)
    assert torch.equal(painter.latents(), before)


def test_another_vae_paints_other_pixels_and_goes_again(painter: Painter) -> None:
    before = painter.pixels()
    with_vae = painter.pixels(Adapters(vae="vae"))
    assert with_vae != before
    assert painter.pixels() == before
    assert torch.equal(painter.latents(Adapters(vae="vae")), painter.latents())


def test_a_vae_of_other_latents_is_refused(painter: Painter) -> None:
    with pytest.raises(ModelLoadError, match="8 latent channels"):
        painter.latents(Adapters(vae="deep"))


def test_a_vae_in_a_single_file_of_the_original_names_is_the_same(
    sd1: Painter, tmp_path: Path
) -> None:
    tensors = diffusers.AutoencoderKL.from_pretrained(sd1.folder / "vae").state_dict()
    file = files.saved(tmp_path / "plain.safetensors", tensors)
    catalog = files.with_adapters(sd1.manager.catalog, vaes=(files.vae_row(file, "sd1"),))
    other = replace(sd1, manager=ModelManager(catalog, device="cpu"))
    assert other.pixels(Adapters(vae="plain")) == sd1.pixels(Adapters(vae="vae"))


@pytest.mark.parametrize("spelling", ["diffusers", "kohya"])
def test_all_spellings_of_a_lora_paint_the_same(painter: Painter, spelling: str) -> None:
    assert torch.equal(painter.latents(lora(spelling)), painter.latents(lora("peft")))


def test_a_loras_alpha_counts(sd1: Painter) -> None:
    half = sd1.latents(lora("half"))
    assert torch.allclose(half, sd1.latents(lora("kohya", 0.5)), atol=1e-4)
    assert not torch.allclose(half, sd1.latents(lora("kohya")), atol=1e-3)


def test_the_weights_of_denoiser_and_text_encoder_are_their_own(painter: Painter) -> None:
    plain, both = painter.latents(), painter.latents(lora("peft", 1, 1))
    denoiser, words = painter.latents(lora("peft", 1, 0)), painter.latents(lora("peft", 0, 1))
    for one, other in ((plain, denoiser), (plain, words), (denoiser, both), (words, both)):
        assert not torch.allclose(one, other, atol=1e-3)
    assert torch.equal(painter.latents(lora("peft", 0, 0)), plain)


def test_two_loras_are_the_sum_of_both(painter: Painter, tmp_path: Path) -> None:
    """Written as one LoRA: the ranks side by side."""
    catalog = painter.manager.catalog
    with painter.manager.lease(painter.model) as leased:
        parts = leased.pipeline.components
    one, other = files.lora_layers(parts), files.lora_layers(parts, seed=1, rank=3)
    summed = {
        path: (
            torch.cat([one[path][0], other[path][0]]),
            torch.cat([one[path][1], other[path][1]], 1),
        )
        for path in one
    }
    file = files.saved(tmp_path / "sum.safetensors", files.in_peft_keys(summed))
    manager = ModelManager(
        files.with_adapters(catalog, loras=(files.lora_row(file),)), device="cpu"
    )
    expected = replace(painter, manager=manager).latents(lora("sum"))
    together = painter.latents(Adapters(loras=(LoraUse("peft"), LoraUse("other"))))
    assert torch.allclose(together, expected, atol=1e-3)
    assert not torch.allclose(together, painter.latents(lora("peft")), atol=1e-2)


def test_two_doras_are_the_same_in_any_order(painter: Painter) -> None:
    one, other = LoraUse("rows", 0.5, 0.5), LoraUse("columns", -0.4, -0.4)
    found = painter.latents(Adapters(loras=(one, other)))
    painter.latents()
    assert torch.allclose(found, painter.latents(Adapters(loras=(other, one))), atol=1e-4)
    for alone in (one, other):
        painter.latents()
        assert not torch.allclose(found, painter.latents(Adapters(loras=(alone,))), atol=1e-3)


def test_a_dora_isnt_the_lora_of_its_matrices(painter: Painter) -> None:
    plain, rows, columns = (painter.latents(lora(name)) for name in ("peft", "rows", "columns"))
    for one, other in ((plain, rows), (plain, columns), (rows, columns)):
        assert not torch.allclose(one, other, atol=1e-3)


def test_only_the_difference_is_injected(sd1: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Adapters(loras=(LoraUse("peft"), LoraUse("other", 0.5, 0.5)))
    expected, alone = sd1.latents(both), sd1.latents(lora("other", 0.5))
    sd1.latents()
    injected: list[str] = []
    inject: Callable[..., None] = Loras._inject  # pyright: ignore[reportPrivateUsage]

    def counted(self: Loras, row: Any, *more: Any) -> None:
        injected.append(row.name)
        inject(self, row, *more)

    monkeypatch.setattr(Loras, "_inject", counted)
    sd1.latents(lora("peft", 0.3))
    sd1.latents(lora("peft"))
    assert torch.equal(sd1.latents(both), expected)
    assert torch.equal(sd1.latents(lora("other", 0.5)), alone)
    assert injected == ["peft", "other"]


def test_a_run_broken_off_leaves_nothing_behind(painter: Painter) -> None:
    before = painter.latents()
    adapters = Adapters(loras=(LoraUse("peft"),), embeddings=("mystyle",), free_u=FREE_U)

    def stop(_step: int, _preview: object) -> None:
        raise JobCancelledError("enough")

    with (
        pytest.raises(JobCancelledError),
        painter.manager.lease(painter.model, adapters=adapters) as leased,
    ):
        leased.denoise(RUN, stop)
    assert torch.equal(painter.latents(), before)


@pytest.mark.parametrize("name", ["peft", "rows"])
@pytest.mark.parametrize("words", [1, 2, 5, 12])
def test_a_lora_cancelled_while_it_is_applied_leaves_nothing_behind(
    painter: Painter, words: int, name: str
) -> None:
    before = painter.latents()
    with painter.manager.lease(painter.model) as leased:
        networks = [
            each for each in leased.pipeline.components.values() if hasattr(each, "modules")
        ]
    modules = [[*each.named_modules()] for each in networks]
    heard: list[str] = []

    def told(message: str) -> None:
        heard.append(message)
        if heard.count(f"Applying the LoRA {name}") == words:
            raise JobCancelledError("enough")

    leasing = painter.manager.lease(painter.model, on_loading=told, adapters=lora(name))
    with pytest.raises(JobCancelledError), leasing:
        pass
    assert [[*each.named_modules()] for each in networks] == modules
    assert torch.equal(painter.latents(), before)


def test_each_layer_has_a_rank_and_an_alpha_of_its_own(tmp_path: Path) -> None:
    unet = _unet(transformer_layers=2)
    layers = _linear_layers(unet)
    tensors: dict[str, torch.Tensor] = {}
    for number, (path, layer) in enumerate(layers.items()):
        down = torch.randn(1 + number % 5, layer.in_features)
        up = torch.randn(layer.out_features, len(down))
        tensors |= files.in_kohya_keys({f"unet.{path}": (down, up)}, alpha=1.0 + number % 3)
    row = files.lora_row(files.saved(tmp_path / "own.safetensors", tensors))
    _loras(unet).set([LoraUse("own", 0.5)], {"own": row})
    for number, path in enumerate(layers):
        stem = f"lora_unet_{path.replace('.', '_')}"
        down, up = (tensors[f"{stem}.lora_{half}.weight"] for half in ("down", "up"))
        inputs = torch.randn(3, down.shape[1])
        wrapped: Any = unet.get_submodule(path)
        scale = 0.5 * (1.0 + number % 3) / len(down)
        expected = layers[path](inputs) + scale * (inputs @ down.T @ up.T)
        torch.testing.assert_close(wrapped(inputs), expected, rtol=1e-4, atol=1e-4)


def test_what_a_layer_costs_does_not_grow_with_the_number_of_layers(tmp_path: Path) -> None:
    """SDXL has 722: with patterns, or one look through the network for each, it took minutes."""
    few, many = (_calls_a_layer(_unet(transformer_layers=n), tmp_path / str(n)) for n in (1, 12))
    assert many < 1.5 * few


def _calls_a_layer(unet: Any, folder: Path) -> float:
    """How many functions of Python are called for each layer of a DoRA, ranks all different."""
    layers = _linear_layers(unet)
    tensors: dict[str, torch.Tensor] = {}
    for rank, (path, layer) in enumerate(layers.items(), start=1):
        pair = (torch.randn(rank % 30 + 1, layer.in_features),)
        pair += (torch.randn(layer.out_features, rank % 30 + 1),)
        tensors |= files.in_peft_keys({f"unet.{path}": pair})
        tensors[f"unet.{path}.lora_magnitude_vector"] = torch.rand(layer.out_features) + 1
    row = files.lora_row(files.saved(folder / "many.safetensors", tensors))
    loras, calls = _loras(unet), 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    loras.set([LoraUse("many")], {"many": row})  # once before, so that all is imported
    loras.clear()
    sys.setprofile(counted)
    try:
        loras.set([LoraUse("many")], {"many": row})
    finally:
        sys.setprofile(None)
    return calls / len(layers)


def _unet(transformer_layers: int) -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
        transformer_layers_per_block=transformer_layers,
    )


def _linear_layers(unet: Any) -> dict[str, Any]:
    return {
        path: layer
        for path, layer in unet.named_modules()
        if isinstance(layer, torch.nn.Linear) and ".transformer_blocks." in path
    }


def _loras(unet: Any) -> Loras:
    family = Catalog.default().families()["sd1"]
    return Loras({"unet": unet}, diffusers.StableDiffusionPipeline, "Tiny", family)


@pytest.mark.parametrize("half_way", ["foreign", "embedding"])
def test_an_injection_that_fails_half_way_leaves_nothing_behind(
    painter: Painter, half_way: str
) -> None:
    before = painter.latents()
    broken = Adapters(
        loras=(LoraUse("peft"), *([LoraUse("foreign")] if half_way == "foreign" else [])),
        embeddings=("mystyle", *(["wide"] if half_way == "embedding" else [])),
        free_u=FREE_U,
        ip_adapters=(IpAdapterUse("ip"),),
    )
    with pytest.raises(ModelError):
        painter.latents(broken, IP_RUN)
    assert torch.equal(painter.latents(), before)
    painter.latents(lora("peft"))
    with pytest.raises(ModelError):
        painter.latents(broken, IP_RUN)
    assert torch.equal(painter.latents(), before)


def test_two_threads_with_different_adapters_take_turns(sd1: Painter) -> None:
    wanted = [NO_ADAPTERS, lora("peft"), lora("other"), Adapters(free_u=FREE_U)]
    expected = [sd1.latents(each) for each in wanted]
    found: dict[int, list[torch.Tensor]] = {}

    def paint(number: int) -> None:
        found[number] = [sd1.latents(wanted[number]) for _ in range(3)]

    threads = [threading.Thread(target=paint, args=(number,)) for number in range(len(wanted))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for number, latents in enumerate(expected):
        assert all(torch.equal(each, latents) for each in found[number])


def test_who_waits_for_the_model_is_told_and_may_give_up(sd1: Painter) -> None:
    told: list[str] = []

    def on_loading(message: str) -> None:
        told.append(message)
        raise JobCancelledError("enough")

    adapters = lora("peft")
    with sd1.manager.lease(sd1.model, adapters=adapters):
        with sd1.manager.lease(sd1.model, adapters=adapters):
            pass  # who wants the same needn't wait
        with (
            pytest.raises(JobCancelledError),
            sd1.manager.lease(sd1.model, on_loading=on_loading),
        ):
            pytest.fail("it is in use with other adapters")
    assert "other LoRAs" in told[-1]
    assert sd1.latents() is not None


def test_the_token_of_an_embedding_vanishes(painter: Painter) -> None:
    with painter.manager.lease(painter.model) as leased:
        tokenizer, table = (
            leased.prompts.tokenizer,
            leased.pipeline.text_encoder.get_input_embeddings(),
        )
        words = len(tokenizer)
    with painter.manager.lease(painter.model, adapters=Adapters(embeddings=("mystyle",))) as leased:
        assert len(leased.prompts.tokenizer) == words + 3
        text = leased.prompts.prepare_text("a MyStyle, mystyles house")
        assert text == "a  <|embedding0.0|> <|embedding0.1|> <|embedding0.2|> , mystyles house"
        assert len(leased.prompts.tokenizer(" <|embedding0.0|> ").input_ids) == 3
    with painter.manager.lease(painter.model) as leased:
        assert len(leased.prompts.tokenizer) == len(tokenizer) == words
        assert leased.pipeline.text_encoder.get_input_embeddings() is table


def test_an_embedding_acts_by_its_word_alone_whatever_its_capitals(sd1: Painter) -> None:
    adapters = Adapters(embeddings=("mystyle",))
    without = replace(RUN, prompt="a red house")
    assert torch.equal(sd1.latents(adapters, without), sd1.latents(NO_ADAPTERS, without))
    loud = replace(RUN, prompt="a red house, MYSTYLE")
    assert torch.equal(sd1.latents(adapters, loud), sd1.latents(adapters))
    negative = replace(without, negative_prompt="mystyle")
    assert not torch.equal(
        sd1.latents(adapters, negative),
        sd1.latents(adapters, replace(negative, negative_prompt="")),
    )


def test_old_configurations_find_the_end_of_a_text_with_embeddings(sdxl: Painter) -> None:
    """SDXL's own say that a text ends with token 2, and mean the largest id."""
    with sdxl.manager.lease(sdxl.model, adapters=Adapters(embeddings=("mystyle",))) as leased:
        encoder = leased.pipeline.text_encoder_2
        ids = leased.pipeline.tokenizer_2(
            leased.prompts.prepare_text(RUN.prompt), return_tensors="pt"
        )
        pooled = encoder(ids.input_ids).text_embeds
    sdxl.latents()
    model = getattr(encoder, "text_model", encoder)
    end = model.eos_token_id
    model.eos_token_id = 2
    try:
        with sdxl.manager.lease(sdxl.model, adapters=Adapters(embeddings=("mystyle",))):
            assert torch.equal(encoder(ids.input_ids).text_embeds, pooled)
        with sdxl.manager.lease(sdxl.model):
            assert model.eos_token_id == 2
    finally:
        model.eos_token_id = end


def test_free_u_and_pictures_scale(painter: Painter) -> None:
    def at(scale: float) -> torch.Tensor:
        return painter.latents(Adapters(ip_adapters=(IpAdapterUse("ip", scale),)), IP_RUN)

    weak, strong = (float((at(scale) - painter.latents()).abs().mean()) for scale in (0.2, 1.0))
    assert 0 < weak < strong
    other = Adapters(free_u=replace(FREE_U, b1=1.1))
    assert not torch.equal(painter.latents(other), painter.latents(Adapters(free_u=FREE_U)))


def test_an_ip_adapter_paints_what_diffusers_paints(sd1: Painter, tiny_folder: Path) -> None:
    bare: Any = diffusers.StableDiffusionPipeline.from_pretrained(tiny_folder, dtype=torch.float32)
    bare.set_progress_bar_config(disable=True)
    bare.load_ip_adapter(
        str(sd1.folder), subfolder="", weight_name="ip.safetensors", image_encoder_folder="clip"
    )
    bare.set_ip_adapter_scale(0.8)
    with sd1.manager.lease(sd1.model) as leased:
        leased.denoise(RUN, lambda _step, _preview: None)
        bare.scheduler = type(leased.pipeline.scheduler).from_config(
            leased.pipeline.scheduler.config
        )
    expected = bare(
        prompt=RUN.prompt,
        negative_prompt=RUN.negative_prompt,
        width=64,
        height=64,
        num_inference_steps=2,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(3),
        ip_adapter_image=IP_RUN.ip_pictures[0],
        output_type="latent",
    ).images
    found = sd1.latents(Adapters(ip_adapters=(IpAdapterUse("ip", 0.8),)), IP_RUN)
    assert torch.allclose(found, expected, atol=1e-5)


def test_loras_count_in_the_memory_budget(sd1: Painter) -> None:
    sd1.latents(lora("peft"))
    entry = sd1.manager.cache._entries[f"model {sd1.model}"]  # pyright: ignore[reportPrivateUsage]
    assert isinstance(entry.adapting, applied.AppliedAdapters)
    plain = entry.adapting.injected_bytes
    assert plain > 1000
    sd1.latents(lora("rows"))
    assert entry.adapting.injected_bytes > plain, "magnitudes count, too"
    sd1.latents()
    assert entry.adapting.injected_bytes == 0
