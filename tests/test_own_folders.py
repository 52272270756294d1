"""Folders of photos as people have them: how they are divided, and what is said of those that cannot be trained on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.photos import photo
from training.__main__ import main
from training.folders import DataError, Photos, read_folders

FEW = 6


def fill(folder: Path, count: int = FEW, suffix: str = ".jpg") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:03}{suffix}").write_bytes(photo("JPEG", 40 + number, 40))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("fish_and_chips", "pie", "soup"):
        fill(tmp_path / "photos" / name)
    return tmp_path / "photos"


def as_food101(data: Path) -> Path:
    """Lay the photos out as Food-101 is handed out: the last two of each class for testing."""
    (data / "images").mkdir()
    (data / "meta").mkdir()
    for name in ("fish_and_chips", "pie", "soup"):
        (data / name).rename(data / "images" / name)
    ids = sorted(f"{path.parent.name}/{path.stem}" for path in data.glob("images/*/*.jpg"))
    (data / "meta" / "train.txt").write_text("\n".join(one for one in ids if one[-1] < "4") + "\n")
    (data / "meta" / "test.txt").write_text("\n".join(one for one in ids if one[-1] >= "4") + "\n")
    return data


def names(photos: Photos, kind: str) -> set[str]:
    return {f"{one.path.parent.name}/{one.path.stem}" for one in getattr(photos, kind)}


def test_every_photo_is_for_one_thing_and_every_class_for_all(data: Path) -> None:
    photos = read_folders(data)
    assert photos.classes == ("fish_and_chips", "pie", "soup")
    kinds = [names(photos, kind) for kind in ("train", "held_out", "test")]
    assert [len(kind) for kind in kinds] == [12, 3, 3]
    assert len(set().union(*kinds)) == 3 * FEW
    for part in photos[1:]:
        assert {(photo.path.parent.name, photo.label) for photo in part} == {
            ("fish_and_chips", 0),
            ("pie", 1),
            ("soup", 2),
        }


def test_the_division_hangs_on_names_alone(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(data, other)
    (other / "pie" / ".DS_Store").write_bytes(b"x")
    (other / "pie" / "Thumbs.db").write_bytes(b"x")
    assert [names(read_folders(data), kind) for kind in ("train", "test")] == [
        names(read_folders(other), kind) for kind in ("train", "test")
    ]


def test_food101_is_divided_as_its_lists_say(data: Path) -> None:
    photos = read_folders(as_food101(data))
    assert names(photos, "test") == {f"{dish}/00{number}" for dish in photos.classes for number in (4, 5)}
    assert len(photos.train) == 9
    assert len(photos.held_out) == 3


def test_train_and_test_folders_are_what_they_say(data: Path) -> None:
    for name in ("fish_and_chips", "pie", "soup"):
        (data / "train").mkdir(exist_ok=True)
        (data / name).rename(data / "train" / name)
        fill(data / "test" / name, 2)
    photos = read_folders(data)
    assert {one.path.parents[1].name for one in photos.test} == {"test"}
    assert (len(photos.train), len(photos.held_out), len(photos.test)) == (15, 3, 6)


def no_folder(data: Path) -> None:
    shutil.rmtree(data)


def photos_without_folders(data: Path) -> None:
    for folder in list(data.iterdir()):
        shutil.rmtree(folder)
    fill(data)


def one_class(data: Path) -> None:
    shutil.rmtree(data / "pie")
    shutil.rmtree(data / "soup")


def empty_class(data: Path) -> None:
    shutil.rmtree(data / "pie")
    (data / "pie").mkdir()


def few_photos(data: Path) -> None:
    for path in sorted((data / "pie").iterdir())[4:]:
        path.unlink()


def same_name(data: Path) -> None:
    fill(data / "Fish and chips")


def folders_in_folders(data: Path) -> None:
    fill(data / "pie" / "best")


def list_of_lost_photos(data: Path) -> None:
    as_food101(data)
    with (data / "meta" / "train.txt").open("a") as listing:
        listing.write("pie/404\n")


def in_both_lists(data: Path) -> None:
    as_food101(data)
    with (data / "meta" / "test.txt").open("a") as listing:
        listing.write("pie/000\n")


def list_without_a_class(data: Path) -> None:
    as_food101(data)
    (data / "meta" / "test.txt").write_text("pie/005\nsoup/005\n")


def other_test_classes(data: Path) -> None:
    (data / "train").mkdir()
    for name in ("fish_and_chips", "pie", "soup"):
        (data / name).rename(data / "train" / name)
    for name in ("pie", "soup"):
        fill(data / "test" / name)


BAD = [
    pytest.param(no_folder, "photos is no folder.", id="no such folder"),
    pytest.param(photos_without_folders, "has no class folders: photos are expected as", id="no class folders"),
    pytest.param(one_class, "has one class folder only, fish_and_chips", id="one class"),
    pytest.param(empty_class, "pie has no photo in it.", id="empty class"),
    pytest.param(few_photos, "The class pie has 4 photos: at least 5 are needed", id="too few to hold any out"),
    pytest.param(same_name, "would both be shown as", id="two classes of one name"),
    pytest.param(folders_in_folders, "best is a folder inside a class folder", id="folders in a class folder"),
    pytest.param(list_of_lost_photos, "names pie/404, and there is no such photo", id="listed and not there"),
    pytest.param(in_both_lists, "000.jpg is listed both to learn from and to test on", id="in both lists"),
    pytest.param(list_without_a_class, "names no photo of the class fish_and_chips", id="a class not listed"),
    pytest.param(other_test_classes, "do not have the same class folders", id="other classes to test on"),
]


@pytest.mark.parametrize(("harm", "sentence"), BAD)
def test_bad_data_ends_the_command_with_one_sentence(
    data: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], sentence: str
) -> None:
    harm(data)
    with pytest.raises(DataError, match=sentence):
        read_folders(data)
    monkeypatch.setattr("sys.argv", ["training", "--data", str(data), "--out", str(data.parent / "my.h5")])
    with pytest.raises(SystemExit) as end:
        main()
    # A text for a status: Python prints it on standard error and ends with 1.
    assert sentence in str(end.value.code)
    assert "\n" not in str(end.value.code)


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        pytest.param("my.keras", "must end in .h5", id="another format"),
        pytest.param("nowhere/my.h5", "there is no folder", id="no folder"),
    ],
)
def test_where_to_write_is_looked_at_before_any_work(
    data: Path, monkeypatch: pytest.MonkeyPatch, out: str, sentence: str
) -> None:
    monkeypatch.setattr("sys.argv", ["training", "--data", str(data), "--out", str(data.parent / out)])
    with pytest.raises(SystemExit, match=sentence):
        main()
