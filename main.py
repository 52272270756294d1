"""Food Vision: ``python main.py`` serves on ``$PORT`` or 5000, and so does ``uvicorn main:app`` on its own port."""

from food_vision.server import app_or_exit, run

if __name__ == "__main__":
    run("main:app")
elif __name__ != "__mp_main__":
    # Not in the process that only starts the server, nor when a worker looks at what started it: a model each.
    app = app_or_exit()
