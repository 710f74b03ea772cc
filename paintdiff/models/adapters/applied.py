"""What is in one model beyond its weights, and who may paint with it meanwhile.

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
from paintdiff.models.adapters.ip_adapter import IpAdapters, LoadedIpAdapter
from paintdiff.models.adapters.lora import Loras
from paintdiff.models.adapters.specs import NO_ADAPTERS, Adapters, FreeUFactors
from paintdiff.models.conditioning.prompt_cache import ModelPrompts, PromptCache
from paintdiff.models.conditioning.textual_inversion import NO_WORDS, Embeddings
from paintdiff.models.loading.pipeline_files import find_pipeline_class
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.loading.vae import LoadedVae
from paintdiff.models.memory.offloading import Offloading
from paintdiff.models.memory.plans import Placement
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow

_POLL_SECONDS = 0.1


def _unheard(_message: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Sources:
    """Where adapters come from: rows and what is loaded already, each by its name."""

    loras: Mapping[str, LoraRow] = field(default_factory=dict[str, LoraRow])
    embeddings: Mapping[str, EmbeddingRow] = field(default_factory=dict[str, EmbeddingRow])
    ip_adapters: Mapping[str, LoadedIpAdapter] = field(default_factory=dict[str, LoadedIpAdapter])

    @property
    def identities(self) -> frozenset[tuple[str, ...]]:
        """Which weights they are: a file that was replaced on disk is another adapter."""
        rows = (*self.loras.values(), *self.embeddings.values())
        loaded = (each.row for each in self.ip_adapters.values())
        return frozenset(row.identity for row in (*rows, *loaded))


@dataclass(frozen=True)
class Adapted:
    """What a lease gets. `components` take the place of the model's own in its pipelines, `tokens`
    stand for the words (in lower case) of embeddings. `notes` are sentences for people, `hashes`
    identify what was injected ("LoRA name", "embedding name"). `rest` sends weights home that wait
    there for the next picture. `prompts` are those that the model has read (None: it reads each
    anew), and `reads_by` is what of all this changes how it reads them.
    """

    components: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tokens: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    rest: Callable[[], None] = lambda: None
    prompts: ModelPrompts | None = None
    reads_by: Hashable = ()


@dataclass(frozen=True)
class _State:
    """What is in a model: `identities` are those of the adapters' files."""

    adapters: Adapters
    placement: Placement
    identities: frozenset[tuple[str, ...]]


class AppliedAdapters:
    """The adapters of one loaded model, and where its weights are while nobody needs them.

    Its weights are shared, so at any time one set of adapters is in it: who wants another waits
    until all are done who paint with this one. What is injected stays until somebody wants
    something else; then only the difference changes. Nothing is ever added to a weight, so what is
    taken out leaves every pixel as it was.
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
        """What the LoRAs in the model take."""
        return sum(each.weights_bytes for each in list(self._loras.injected.values()))

    @contextmanager
    def adapted(
        self,
        wanted: Adapters,
        sources: Sources,
        make_room: Callable[[LoraRow], None] = lambda _row: None,
        on_waiting: Callable[[str], None] | None = None,
        placement: Placement = "resident",
    ) -> Generator[Adapted]:
        """While inside, the model has the adapters of `wanted` and no others, and its weights are
        placed so.

        While somebody paints with others, and while LoRAs are applied, `on_waiting` is told so
        again and again; what it raises ends it. `make_room` is told each LoRA before it is
        injected. Raises a ModelError if an adapter can't be read or doesn't fit. Whatever is
        raised, the model is then as it was without any adapter.
        """
        wanted = wanted.injected
        self._enter(_State(wanted, placement, sources.identities), sources, make_room, on_waiting)
        try:
            yield self._adapted(wanted, sources)
        finally:
            with self._changed:
                self._users -= 1
                if not self._users:
                    self._placing.rest()
                self._changed.notify_all()

    def send_home(self) -> None:
        """Offload all weights to RAM until they are needed again. Does nothing
        while somebody does.
        """
        with self._changed:
            if not self._users:
                self._current = None
                self._placing.lift()
                self._placing.send_home()

    def eject_ip_adapters(self) -> None:
        """Take the IP-Adapters out of the model. Does nothing while somebody paints with it."""
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
                # Otherwise two runs would move weights to and fro.
                shared = wanted.placement == "resident"
                if not self._users or (shared and self._current == wanted):
                    if self._current != wanted:
                        for name in self._loras.missing_from(sources.loras):
                            make_room(sources.loras[name])
                        self._switch(wanted, sources, on_waiting)
                    self._users += 1
                    return
                self._changed.wait(_POLL_SECONDS)
            if on_waiting is not None:
                on_waiting(f"Waiting for {self._title}: another job uses other LoRAs")

    def _switch(
        self, state: _State, sources: Sources, on_waiting: Callable[[str], None] | None
    ) -> None:
        wanted = state.adapters
        self._placing.lift()  # what is injected has to be found by the hooks, too
        try:
            self._ip_adapters.set(wanted.ip_adapters, sources.ip_adapters)
            self._loras.set(wanted.loras, sources.loras, on_waiting or _unheard)
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

    def _adapted(self, wanted: Adapters, sources: Sources) -> Adapted:
        learned = self._embeddings.learned if wanted.embeddings else NO_WORDS
        loras = self._loras.injected
        components = dict(learned.tokenizers)
        if wanted.ip_adapters:
            # All share the first one's: an adapter says which it needs, and the others are checked.
            first = sources.ip_adapters[wanted.ip_adapters[0].name]
            components["image_encoder"] = first.image_encoder
            components["feature_extractor"] = first.feature_extractor
        notes = tuple(note for use in wanted.loras for note in loras[use.name].notes)
        if wanted.free_u is not None and self._unet is None:
            notes += (f"FreeU has no effect: {self._title} has no UNet.",)
        hashes = {f"LoRA {use.name}": loras[use.name].hash for use in wanted.loras}
        hashes |= {f"embedding {name}": value for name, value in learned.hashes.items()}
        in_order = [(use.name, use.text_encoder_weight) for use in wanted.loras]
        return Adapted(
            components,
            learned.tokens,
            notes,
            hashes,
            self._placing.rest,
            prompts=self._prompts,
            reads_by=(
                tuple((loras[name].key, weight) for name, weight in in_order if weight),
                tuple(learned.hashes.items()),
            ),
        )


@dataclass(frozen=True)
class AdapterTurn:
    """A model that is to be adapted, in an order by `key`."""

    key: str
    adapting: AppliedAdapters
    wanted: Adapters = NO_ADAPTERS
    sources: Sources = field(default_factory=Sources)
    placement: Placement = "resident"


@contextmanager
def apply_adapters(
    turns: Sequence[AdapterTurn],
    make_room: Callable[[LoraRow], None],
    on_waiting: Callable[[str], None] | None,
) -> Generator[Mapping[str, Adapted]]:
    """Each turn's key to what its model was given. All leases enter models in one order, so that no
    two can wait for each other. Raises ModelLoadError if a model is among them twice.
    """
    if len({turn.key for turn in turns}) < len(turns):
        raise ModelLoadError("A model can't be its own refiner. Choose another.")
    with ExitStack() as entered:
        yield {
            turn.key: entered.enter_context(
                turn.adapting.adapted(
                    turn.wanted, turn.sources, make_room, on_waiting, turn.placement
                )
            )
            for turn in sorted(turns, key=lambda turn: turn.key)
        }


def swap_vae(adapted: Adapted, vae: LoadedVae | None) -> Adapted:
    """With another VAE too, unless that is None."""
    if vae is None:
        return adapted
    components = {**adapted.components, "vae": vae.network}
    return replace(adapted, components=components, hashes={**adapted.hashes, "VAE": vae.hash})
