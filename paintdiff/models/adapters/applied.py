"""The adapters in one loaded model, and who may paint with it meanwhile.

Imports torch: import it in a function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from paintdiff.errors import ModelLoadError
from paintdiff.models.acceleration.kernel_choice import MemoryFormat
from paintdiff.models.adapters import messages
from paintdiff.models.adapters.ip_adapter import IpAdapters, LoadedIpAdapter
from paintdiff.models.adapters.lora import Loras
from paintdiff.models.adapters.specs import NO_ADAPTERS, Adapters, FreeUFactors
from paintdiff.models.conditioning.prompt_cache import ModelPrompts, PromptCache
from paintdiff.models.conditioning.textual_inversion import NO_TOKENS, Embeddings
from paintdiff.models.loading.pipeline_files import find_pipeline_class
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.loading.vae import LoadedVae
from paintdiff.models.memory.offloading import Offloading
from paintdiff.models.memory.plans import Placement
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow

_POLL_SECONDS = 0.1


def _ignore(_message: str) -> None:
    pass


@dataclass(frozen=True)
class Sources:
    """The rows of LoRAs and embeddings, and the loaded IP-Adapters, each by its name."""

    loras: Mapping[str, LoraRow] = field(default_factory=dict[str, LoraRow])
    embeddings: Mapping[str, EmbeddingRow] = field(default_factory=dict[str, EmbeddingRow])
    ip_adapters: Mapping[str, LoadedIpAdapter] = field(default_factory=dict[str, LoadedIpAdapter])

    @property
    def identities(self) -> frozenset[tuple[str, ...]]:
        """Return the identities of their files: one that was replaced on disk is another."""
        rows = (*self.loras.values(), *self.embeddings.values())
        loaded = (each.row for each in self.ip_adapters.values())
        return frozenset(row.identity for row in (*rows, *loaded))


@dataclass(frozen=True)
class LeasedAdapters:
    """The adapters as one lease sees them.

    Attributes:
        components: Replace the model's own in its pipelines.
        tokens: The tokens in place of each word, in lower case, that names an embedding.
        notes: Sentences for people.
        hashes: Identify what was injected, under "LoRA name" and "embedding name".
        send_waiting_home: Offloads weights that wait in RAM between two pictures.
        prompts: The cache of the model's encoded prompts; None: each is encoded every time.
        prompt_state: The part of this state that an encoded prompt depends on.
    """

    components: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tokens: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    send_waiting_home: Callable[[], None] = lambda: None
    prompts: ModelPrompts | None = None
    prompt_state: Hashable = ()


@dataclass(frozen=True)
class _State:
    """The adapters that a model has now; `identities` are those of the adapters' files."""

    adapters: Adapters
    placement: Placement
    identities: frozenset[tuple[str, ...]]


class AppliedAdapters:
    """The adapters of one loaded model, and the placement of its weights.

    The weights are shared, so the model has one set of adapters at a time: a lease that wants
    another set waits until all leases with this one have ended. What is injected stays until a
    lease wants something else; then only the difference changes. Nothing is ever added to a weight,
    so without its adapters the model paints exactly what it painted before.
    """

    def __init__(self, loaded: LoadedModel, prompts: PromptCache | None = None) -> None:
        row = loaded.row
        title = row.title
        first_task = next(iter(row.family.pipelines))
        class_ = find_pipeline_class(row, first_task)
        self._loras = Loras(loaded.components, class_, title, row.family)
        self._embeddings = Embeddings(loaded.components, title)
        self._ip_adapters = IpAdapters(loaded.components, title)
        self._unet = loaded.components.get("unet")
        self._placing = Offloading(loaded.components, row.family.denoiser, loaded.device)
        networks = (self._unet, loaded.components.get("vae"))
        self._memory_format = MemoryFormat(each for each in networks if each is not None)
        self._prompts = None if prompts is None else prompts.for_model()
        self._title = title
        self._changed = threading.Condition()
        self._current: _State | None = None
        self._users = 0

    @property
    def injected_bytes(self) -> int:
        """Return what the LoRAs in the model take."""
        return sum(each.weights_bytes for each in list(self._loras.injected.values()))

    @contextmanager
    def apply(
        self,
        wanted: Adapters,
        sources: Sources,
        make_room: Callable[[LoraRow], None] = lambda _row: None,
        on_waiting: Callable[[str], None] | None = None,
        placement: Placement = "resident",
    ) -> Generator[LeasedAdapters]:
        """Give the model the adapters of `wanted` and no others, inside the `with`.

        Whatever is raised, the model then has no adapters.

        Args:
            wanted: The adapters.
            sources: What they are read from.
            make_room: Called with each LoRA before it is injected.
            on_waiting: Called with a message, again and again, while another lease paints with
                other adapters and while LoRAs are applied. What it raises ends the wait.
            placement: Where the model's weights are meanwhile.

        Raises:
            ModelError: An adapter can't be read, or doesn't fit.
        """
        wanted = wanted.injected
        self._enter(_State(wanted, placement, sources.identities), sources, make_room, on_waiting)
        try:
            yield self._describe(wanted, sources)
        finally:
            with self._changed:
                self._users -= 1
                if not self._users:
                    self._placing.rest()
                self._changed.notify_all()

    def send_home(self) -> None:
        """Offload all weights to RAM until a lease needs them. Does nothing during a lease."""
        with self._changed:
            if not self._users:
                self._current = None
                self._placing.lift()
                self._placing.send_home()

    def eject_ip_adapters(self) -> None:
        """Remove the IP-Adapters from the model. Does nothing during a lease."""
        with self._changed:
            if not self._users:
                self._current = None
                self._placing.lift()
                self._ip_adapters.clear()

    def _enter(
        self,
        wanted: _State,
        sources: Sources,
        make_room: Callable[[LoraRow], None],
        on_waiting: Callable[[str], None] | None,
    ) -> None:
        while True:
            with self._changed:
                # Two runs with offloaded weights would move them back and forth.
                shared = wanted.placement == "resident"
                if not self._users or (shared and self._current == wanted):
                    if self._current != wanted:
                        for name in self._loras.find_missing(sources.loras):
                            make_room(sources.loras[name])
                        self._switch(wanted, sources, on_waiting)
                    self._users += 1
                    return
                self._changed.wait(_POLL_SECONDS)
            if on_waiting is not None:
                on_waiting(messages.waiting_for(self._title))

    def _switch(
        self, state: _State, sources: Sources, on_waiting: Callable[[str], None] | None
    ) -> None:
        wanted = state.adapters
        self._placing.lift()  # offloading has to find what is injected, too
        try:
            self._ip_adapters.set(wanted.ip_adapters, sources.ip_adapters)
            self._loras.set(wanted.loras, sources.loras, on_waiting or _ignore)
            self._embeddings.set(wanted.embeddings, sources.embeddings)
            self._set_free_u(wanted.free_u)
            self._memory_format.set_channels_last(wanted.channels_last)
            self._placing.place(state.placement)
        except BaseException:
            self._current = None
            self._placing.lift()
            self._loras.clear()
            self._ip_adapters.clear()
            self._embeddings.clear()
            self._set_free_u(None)
            self._memory_format.set_channels_last(False)
            raise
        self._current = state

    def _set_free_u(self, factors: FreeUFactors | None) -> None:
        if self._unet is None:
            return
        if factors is None:
            self._unet.disable_freeu()
        else:
            self._unet.enable_freeu(s1=factors.s1, s2=factors.s2, b1=factors.b1, b2=factors.b2)

    def _describe(self, wanted: Adapters, sources: Sources) -> LeasedAdapters:
        learned = self._embeddings.learned if wanted.embeddings else NO_TOKENS
        loras = self._loras.injected
        components = dict(learned.tokenizers)
        if wanted.ip_adapters:
            # All share the first one's encoder: `IpAdapters` checks that they need the same.
            first = sources.ip_adapters[wanted.ip_adapters[0].name]
            components["image_encoder"] = first.image_encoder
            components["feature_extractor"] = first.feature_extractor
        notes = tuple(note for use in wanted.loras for note in loras[use.name].notes)
        if wanted.free_u is not None and self._unet is None:
            notes += (messages.free_u_without_effect(self._title),)
        hashes = {f"LoRA {use.name}": loras[use.name].hash for use in wanted.loras}
        hashes |= {f"embedding {name}": value for name, value in learned.hashes.items()}
        in_order = [(use.name, use.text_encoder_weight) for use in wanted.loras]
        return LeasedAdapters(
            components,
            learned.tokens,
            notes,
            hashes,
            self._placing.rest,
            prompts=self._prompts,
            prompt_state=(
                tuple((loras[name].key, weight) for name, weight in in_order if weight),
                tuple(learned.hashes.items()),
            ),
        )


@dataclass(frozen=True)
class AdapterTurn:
    """A model and the adapters it gets. Models get theirs in the order of their keys."""

    key: str
    applied: AppliedAdapters
    wanted: Adapters = NO_ADAPTERS
    sources: Sources = field(default_factory=Sources)
    placement: Placement = "resident"


@contextmanager
def apply_adapters(
    turns: Sequence[AdapterTurn],
    make_room: Callable[[LoraRow], None],
    on_waiting: Callable[[str], None] | None,
) -> Generator[Mapping[str, LeasedAdapters]]:
    """Give each model its adapters inside the `with`, and yield what each got, by key.

    All leases do this in one order, so that no two can wait for each other.

    Raises:
        ModelLoadError: A model is listed twice; or what `AppliedAdapters.apply` raises.
    """
    if len({turn.key for turn in turns}) < len(turns):
        raise ModelLoadError(messages.OWN_REFINER)
    with ExitStack() as entered:
        yield {
            turn.key: entered.enter_context(
                turn.applied.apply(turn.wanted, turn.sources, make_room, on_waiting, turn.placement)
            )
            for turn in sorted(turns, key=lambda turn: turn.key)
        }


def swap_vae(adapters: LeasedAdapters, vae: LoadedVae | None) -> LeasedAdapters:
    """Return the adapters with a VAE that replaces the model's; None replaces nothing."""
    if vae is None:
        return adapters
    components = {**adapters.components, "vae": vae.network}
    return replace(adapters, components=components, hashes={**adapters.hashes, "VAE": vae.hash})
