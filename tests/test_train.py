"""Training itself: the same network as Keras', photos that vary within bounds, and runs that can be taken up again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[train]'")

from tests.photos import pixels  # noqa: E402 - what follows needs PyTorch
from training.arrays import read_arrays, write_arrays  # noqa: E402
from training.augment import coloured, pasted, random_box, soft_labels, varied  # noqa: E402
from training.averaging import Average  # noqa: E402
from training.batches import Pools, batch  # noqa: E402
from training.classes import CLASSES  # noqa: E402
from training.network import Network  # noqa: E402
from training.pools import Pool  # noqa: E402
from training.recipes import Phase, Recipe  # noqa: E402
from training.train import Trainer, rate  # noqa: E402

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "food-vision-model.h5"
SMALL = Phase(until=1.0, size=32, least_area=0.3, batch=4, mixed_share=0.5)
RECIPE = Recipe(minutes=1, phases=(SMALL,), dropout=0.0)


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    return read_arrays(WEIGHTS)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("side", [224, 96])
def test_the_network_gives_the_logits_of_the_keras_file(arrays: dict[str, Any], side: int) -> None:
    import keras

    from training import backbone

    model = backbone.build(len(CLASSES), side)
    model.load_weights(WEIGHTS)
    photos = np.random.default_rng(1).integers(0, 256, (2, side, side, 3)).astype(np.float32)
    expected = keras.Model(model.input, model.get_layer("classifier").output)(photos).numpy()
    with torch.inference_mode():
        found = Network(arrays)(torch.from_numpy(photos).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_arrays_come_back_as_they_went_in(arrays: dict[str, Any], tmp_path: Path) -> None:
    write_arrays(tmp_path / "weights.npz", Network(arrays).arrays())
    again = read_arrays(tmp_path / "weights.npz")
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_stem_early_blocks_and_statistics_stand_still(arrays: dict[str, Any]) -> None:
    trainer = Trainer(RECIPE, arrays)
    trainer.seconds = 5
    trainer.learn(*one_batch(0))
    moved = {name for name, array in trainer.network.arrays().items() if not np.array_equal(array, arrays[name])}
    still = ("stem/", "blocks/00/", "blocks/01/", "blocks/02/")
    learning = {name for name in arrays if not name.startswith(still) and not name.endswith(("mean", "variance"))}
    assert moved == learning


def one_batch(step: int) -> Any:  # noqa: ANN401 - tensors are unknown where PyTorch is missing
    labels = np.arange(len(CLASSES))
    photos = [pixels(260, 224), pixels(224, 300)]
    sharp = Pool(tuple(map(str, labels)), labels, [photos[label % 2] for label in labels])
    tiles = Pool(tuple(map(str, labels)), labels, [pixels(64, 64)] * len(labels))
    return batch(RECIPE, SMALL, Pools(sharp, tiles), step)


def test_a_batch_is_made_of_its_step_alone() -> None:
    (photos, targets), again, other = one_batch(3), one_batch(3), one_batch(4)
    assert photos.shape == (4, 3, 32, 32)
    assert targets.shape == (4, len(CLASSES))
    assert 0 <= float(photos.min()) < float(photos.max()) <= 255
    assert torch.equal(photos, again[0])
    assert torch.equal(targets, again[1])
    assert not torch.equal(photos, other[0])


def test_a_run_taken_up_again_goes_on_as_if_never_left(arrays: dict[str, Any], tmp_path: Path) -> None:
    whole = Trainer(RECIPE, arrays)
    for step in range(2):
        advance(whole, step)
    whole.save(tmp_path / "state.pt")
    resumed = Trainer(RECIPE, arrays)
    resumed.restore(tmp_path / "state.pt")
    assert (resumed.step, resumed.seconds) == (2, 20)
    losses = [advance(trainer, 2) for trainer in (whole, resumed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for networks in ((whole.network, resumed.network), (whole.average.network, resumed.average.network)):
        one, other = (network.arrays() for network in networks)
        for name in one:
            np.testing.assert_allclose(one[name], other[name], atol=1e-5, err_msg=name)


def advance(trainer: Trainer, step: int) -> float:
    loss = trainer.learn(*one_batch(step))
    trainer.seconds += 10
    return loss


def test_the_average_follows_and_clings_less_in_the_beginning(arrays: dict[str, Any]) -> None:
    network = Network(arrays)
    average = Average(network, kept=0.99)
    bias = network.weights["classifier/bias"]
    start = bias.detach().clone()
    with torch.no_grad():
        bias += 1
    average.update(network, step=0)
    assert torch.allclose(average.network.weights["classifier/bias"], start + 0.9, atol=1e-6)
    average.update(network, step=100_000)
    assert torch.allclose(average.network.weights["classifier/bias"], start + 0.901, atol=1e-6)


@pytest.mark.parametrize(
    ("width", "height"),
    [pytest.param(64, 64, id="tile"), pytest.param(300, 224, id="wide"), pytest.param(224, 700, id="tall")],
)
def test_crops_have_the_size_asked_for_and_stay_inside(width: int, height: int, random: np.random.Generator) -> None:
    for _ in range(50):
        left, top, right, bottom = random_box(width, height, random, least_area=0.3)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert 0.2 * min(width, height) ** 2 < (right - left) * (bottom - top) <= 1.001 * min(width, height) ** 2
    crop = varied(pixels(width, height), 48, random, least_area=0.3, blur_share=1.0)
    assert crop.shape == (48, 48, 3)
    assert crop.dtype == np.uint8


def test_blur_takes_detail_away(random: np.random.Generator) -> None:
    noise = random.integers(0, 256, (224, 224, 3)).astype(np.uint8)
    plain, blurred = (
        np.mean([varied(noise, 224, random, 0.99, share).astype(float).std() for _ in range(10)]) for share in (0, 1)
    )
    assert blurred < 0.8 * plain


def test_colours_vary_within_the_range_of_pixels(random: np.random.Generator) -> None:
    photos = torch.from_numpy(random.uniform(0, 255, (6, 3, 8, 8)).astype(np.float32))
    varied_ones = coloured(photos, random, 0.4)
    assert varied_ones.shape == photos.shape
    assert float(varied_ones.min()) >= 0
    assert float(varied_ones.max()) <= 255
    assert not torch.equal(varied_ones, photos)
    assert torch.allclose(coloured(photos, random, 0.0), photos, atol=1e-3)


def test_soft_labels_are_a_distribution() -> None:
    targets = soft_labels(np.array([2, 0]), 4, 0.1)
    assert torch.allclose(targets, torch.tensor([[0.025, 0.025, 0.925, 0.025], [0.925, 0.025, 0.025, 0.025]]))


def test_labels_are_mixed_by_the_area_that_was_pasted(random: np.random.Generator) -> None:
    count, side = 8, 20
    photos = torch.arange(count).float().reshape(-1, 1, 1, 1).expand(count, 3, side, side)
    mixed, targets = pasted(photos, torch.eye(count), random, share=1.0)
    shares = torch.stack([(mixed[:, 0] == label).float().mean((1, 2)) for label in range(count)], 1)
    assert torch.allclose(shares, targets, atol=1e-6)
    assert (targets.max(1).values < 1).any()
    untouched, labels = pasted(photos, torch.eye(count), random, share=0.0)
    assert torch.equal(untouched, photos)
    assert torch.equal(labels, torch.eye(count))


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        pytest.param(0.0, 0.02, id="start"),
        pytest.param(0.03, 1.0, id="warm"),
        pytest.param(0.515, 0.5, id="half-way down"),
        pytest.param(1.0, 0.0, id="end"),
    ],
)
def test_the_learning_rate_rises_and_falls(progress: float, share: float) -> None:
    assert rate(RECIPE, progress) == pytest.approx(share * RECIPE.rate, abs=1e-9)
