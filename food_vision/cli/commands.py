"""The commands and their options. What they need is imported when they run, so that ``--help`` is there at once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from food_vision import __version__
from food_vision.errors import StartupError

app = typer.Typer(
    name="food-vision",
    no_args_is_help=True,
    add_completion=False,
    # Plain help: making it pretty takes longer than all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"food-vision {__version__}")
        raise typer.Exit


@app.callback()
def food_vision(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version.")
    ] = False,
) -> None:
    """Tell the dish on photos, or serve those who ask."""


@app.command()
def predict(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PATH|URL|DIR|-...", help="Files, links, folders with all below them, standard input."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON per photo.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A row of CSV per photo.")] = False,
    top_k: Annotated[int, typer.Option(min=1, help="Most dishes to name.")] = 5,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Least score of a dish that is named.")] = 0.0,
    server: Annotated[str | None, typer.Option(metavar="URL", help="Ask this server, not the model here.")] = None,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The server's key; FOOD_VISION_CLIENT_KEY if not given.")
    ] = None,
) -> None:
    """Tell the dishes on photos. Ends with 1 if any failed."""
    from food_vision.cli import predicting
    from food_vision.settings import load_settings

    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv cannot be had together.")
    form: Literal["json", "csv", "table"] = "json" if as_json else "csv" if as_csv else "table"
    settings = load_settings()
    key = api_key or (settings.client_key.get_secret_value() if settings.client_key else None)
    wishes = predicting.Wishes(top_k, min_score, form, server, key)
    if predicting.predict(photos, wishes, settings):
        raise typer.Exit(1)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Server processes.")] = None,
) -> None:
    """Serve, as `python main.py` does; options win over settings."""
    from food_vision.server import run
    from food_vision.settings import hand_down

    hand_down(host=host, port=port, workers=workers)
    run("food_vision.asgi:app")


@app.command()
def doctor(
    url: Annotated[str | None, typer.Option(help="Only ask the server there whether it is ready.")] = None,
) -> None:
    """Check that a server would work here, or that one does. Ends with 1 if not."""
    if url is not None:
        from food_vision.cli.health import ask_health

        health = ask_health(url)
        print(health.sentence)
        raise typer.Exit(0 if health.ready else 1)
    from food_vision.cli.doctor import examine

    well = True
    for finding in examine():
        print(f"{'ok' if finding.well else 'failed':8}{finding.what:12}{finding.sentence}", flush=True)
        well &= finding.well
    raise typer.Exit(0 if well else 1)


@app.command()
def settings() -> None:
    """Show every setting, its value here and where it comes from; secrets are masked."""
    from rich.table import Table
    from rich.text import Text

    from food_vision.cli.output import show
    from food_vision.settings import load_settings, settings_in_force

    table = Table("variable", "value", "from", box=None, pad_edge=False)
    for row in settings_in_force(load_settings()):
        table.add_row(*map(Text, row))
    show(table)


@app.command()
def labels() -> None:
    """Print the dishes that the model knows, a line each, in the order of its outputs."""
    from food_vision.model.own import open_bundle
    from food_vision.settings import load_settings

    settings = load_settings()
    print(*open_bundle(settings.weights, settings.labels, settings.engine).display_names, sep="\n")


@app.command()
def export(
    weights: Annotated[Path | None, typer.Argument(help="A Keras .h5 file; FOOD_VISION_MODEL if not given.")] = None,
    names: Annotated[Path | None, typer.Option("--labels", help="A label per line, for weights without any.")] = None,
) -> None:
    """Make the fast engine's file from the weights, beside them."""
    from food_vision.settings import load_settings

    try:
        from training.export import export as make
    except ImportError as error:
        raise StartupError(
            f"Exporting needs TensorFlow, tf2onnx and the project's training package ({error.name} is missing): "
            "`pip install '.[keras]'`."
        ) from error
    here = load_settings()
    print(make(weights or here.weights, names or (here.labels if weights is None else None)))
