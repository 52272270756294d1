"""Losses beyond plain labels: classes spared, teachers, and a photo's own 64-pixel version."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[train]'")

from tests.photos import pixels  # noqa: E402 - what follows needs PyTorch
from training.arrays import read_arrays, write_arrays  # noqa: E402
from training.augment import reduced, shone_through  # noqa: E402
from training.batches import Pools, as_tensor, batch  # noqa: E402
from training.classes import CLASSES  # noqa: E402
from training.losses import consistency, labels_loss, softened  # noqa: E402
from training.network import Network  # noqa: E402
from training.pools import Pool  # noqa: E402
from training.recipes import IMAGENET, Phase, Recipe  # noqa: E402
from training.train import Trainer, judge_of  # noqa: E402

WEIGHTS = Path(__file__).parent.parent / "food-vision-model.h5"
SHARED = Path(__file__).parent.parent.parent / "shared"
SMALL = Phase(until=1.0, size=32, least_area=0.5, batch=4)
PLAIN = Recipe(minutes=1, phases=(SMALL,), dropout=0.0)


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    return read_arrays(WEIGHTS)


@pytest.fixture(scope="module")
def network(arrays: dict[str, Any]) -> Network:
    return Network(arrays).requires_grad_(False).eval()


@pytest.fixture
def photos() -> Any:  # noqa: ANN401 - tensors are unknown where PyTorch is missing
    return as_tensor([pixels(64, 64), np.rot90(pixels(64, 64)).copy()])


def test_a_spared_class_is_not_pushed_down_by_sharp_photos_of_others() -> None:
    logits = torch.zeros(3, 4, requires_grad=True)
    targets = torch.eye(4)[[0, 1, 0]] * 0.96 + 0.01
    targets[1, 3] = 0.4  # a rectangle of the spared class was pasted into the second sharp photo
    labels_loss(logits, targets, spared=[3], sharp=2).backward()
    assert logits.grad is not None
    assert logits.grad[0, 3] == 0
    assert logits.grad[1, 3] < 0
    assert logits.grad[2, 3] > 0
    assert logits.grad[0, 1] > 0


def test_without_spared_classes_it_is_the_plain_loss() -> None:
    logits, targets = torch.randn(5, 4), torch.eye(4)[[0, 1, 2, 3, 0]]
    expected = torch.nn.functional.cross_entropy(logits, targets)
    assert labels_loss(logits, targets, spared=[], sharp=2) == expected
    assert torch.allclose(labels_loss(logits, targets, spared=[3], sharp=0), expected)


def test_labels_are_softened_by_the_mean_of_the_teachers(network: Network, photos: Any) -> None:  # noqa: ANN401
    targets = torch.eye(len(CLASSES))[:2]
    answers = network(photos).softmax(1)
    found = softened(targets, photos, [network, network], 0.25)
    assert torch.allclose(found, 0.75 * targets + 0.25 * answers, atol=1e-5)
    assert not found.requires_grad


def test_consistency_is_least_where_the_answer_is_that_of_the_reduced_photo(network: Network, photos: Any) -> None:  # noqa: ANN401
    wanted, other = network(reduced(photos, 32)), network(photos)
    least = consistency(wanted, photos, network, 32)
    assert least < consistency(other, photos, network, 32)
    assert float(least) == pytest.approx(
        float(torch.distributions.Categorical(logits=wanted).entropy().mean()), rel=1e-4
    )


def test_a_reduced_photo_is_as_large_and_has_no_finer_detail() -> None:
    noise = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (2, 3, 64, 64)).astype(np.float32))
    small = reduced(noise, 16)
    assert small.shape == noise.shape
    assert float(small.std()) < 0.5 * float(noise.std())
    assert 0 <= float(small.min()) < float(small.max()) <= 255


def test_labels_are_mixed_as_the_photos_that_shine_through() -> None:
    count = 8
    photos = torch.arange(count).float().reshape(-1, 1, 1, 1).expand(count, 3, 5, 5)
    mixed, targets = shone_through(photos, torch.eye(count), np.random.default_rng(4), share=1.0)
    assert torch.allclose(mixed[:, 0, 0, 0], targets @ torch.arange(count).float(), atol=1e-5)
    assert torch.equal(targets.argmax(1), torch.arange(count))
    assert (targets.max(1).values < 1).any()
    untouched, labels = shone_through(photos, torch.eye(count), np.random.default_rng(4), share=0.0)
    assert torch.equal(untouched, photos)
    assert torch.equal(labels, torch.eye(count))


KNOBS = [
    pytest.param({"consistency": 0.5}, id="consistency"),
    pytest.param({"sharp_by_photo": True}, id="by photo"),
    pytest.param({"left_out": ("pho",), "spare_left_out": True, "start": IMAGENET}, id="left out"),
]


@pytest.mark.parametrize("told", KNOBS)
def test_a_step_can_be_taken_with_every_knob(arrays: dict[str, Any], told: dict[str, Any]) -> None:
    trainer = Trainer(Recipe(minutes=1, phases=(SMALL,), **told), arrays)
    assert 0 < trainer.learn(*one_batch(trainer.recipe)) < 100
    assert (trainer.step, trainer.photos) == (1, 4)


def test_consistency_adds_to_the_plain_loss(arrays: dict[str, Any]) -> None:
    plain, more = (
        Trainer(Recipe(minutes=1, phases=(SMALL,), dropout=0.0, consistency=weight), arrays).learn(*one_batch(PLAIN))
        for weight in (0.0, 0.5)
    )
    assert more > plain + 0.01


def test_teachers_are_read_from_their_files_and_do_not_learn(arrays: dict[str, Any], tmp_path: Path) -> None:
    write_arrays(tmp_path / "teacher.npz", arrays)
    recipe = Recipe(minutes=1, phases=(SMALL,), distil=0.5, teachers=(str(tmp_path / "teacher.npz"),))
    trainer = Trainer(recipe, arrays)
    trainer.learn(*one_batch(recipe))
    [teacher] = trainer.loss.teachers
    assert all(np.array_equal(array, arrays[name]) for name, array in teacher.arrays().items())


def test_weights_of_the_other_network_are_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="for lite2, the weights are of lite0"):
        Trainer(Recipe(minutes=1, phases=(SMALL,), backbone="lite2"), arrays)


def test_the_photos_learnt_are_counted_through_a_stop_and_old_files_are_still_read(
    arrays: dict[str, Any], tmp_path: Path
) -> None:
    trainer = Trainer(PLAIN, arrays)
    trainer.learn(*one_batch(PLAIN))
    trainer.save(tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = Trainer(PLAIN, arrays)
    resumed.restore(tmp_path / "state.pt")
    assert (resumed.step, resumed.photos) == (1, 4)
    torch.save({name: part for name, part in state.items() if name != "photos"}, tmp_path / "old.pt")
    resumed.restore(tmp_path / "old.pt")
    assert (resumed.step, resumed.photos) == (1, 0)


@pytest.mark.skipif(not SHARED.exists(), reason="photos not present")
def test_sharp_photos_of_classes_left_out_do_not_choose_weights_either() -> None:
    recipe = Recipe(minutes=1, phases=(SMALL,), left_out=("pizza", "ramen"), start=IMAGENET)
    judge = judge_of(recipe, SHARED / "data", SHARED / "model" / "held-out.txt")
    left_out = {CLASSES.index(name) for name in recipe.left_out}
    assert not left_out & {sample.label for sample in judge.sets["sharp"]}
    assert left_out <= {sample.label for sample in judge.sets["tiles"]}


def one_batch(recipe: Recipe) -> Any:  # noqa: ANN401
    labels = np.arange(len(CLASSES))
    sharp, tiles = ([pixels(side, side)] * len(labels) for side in (224, 64))
    names = tuple(map(str, labels))
    return batch(recipe, SMALL, Pools(Pool(names, labels, sharp), Pool(names, labels, tiles)), 0)
