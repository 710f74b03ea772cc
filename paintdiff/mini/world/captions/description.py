"""Captions and words of any edition of the world."""

from paintdiff.mini.world.captions.sentences import Caption
from paintdiff.mini.world.captions.sentences import describe as describe_plain
from paintdiff.mini.world.captions.sentences import words as plain_words
from paintdiff.mini.world.captions.wording import describe_staged, staged_words
from paintdiff.mini.world.scene import Scene, WorldConfig


def describe(scene: Scene, seed: int, *, held_out: bool = False) -> Caption:
    """Return a caption of ``scene``; ``seed`` decides the wording and what is left out.

    Everything it says is true of the picture. The picture does not depend on ``seed``. With
    ``held_out`` it uses wordings that are kept from training (edition 1; edition 0 has none).

    Raises:
        WorldError: the scene is impossible; see ``check_scene``.
    """
    if scene.edition:
        return describe_staged(scene, seed, held_out=held_out)
    return describe_plain(scene, seed)


def words(config: WorldConfig | None = None) -> frozenset[str]:
    """Return every lower-case word that a caption of this part of the world can contain."""
    config = config or WorldConfig()
    return staged_words(config) if config.edition else plain_words(config)
