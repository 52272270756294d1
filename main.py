"""Food Vision: ``python main.py`` serves on ``$PORT`` or 5000, and so does ``uvicorn main:app`` on its own port."""

from food_vision.app import app_or_exit, run

if __name__ == "__main__":
    run("main:app")
else:
    # Not above: the process that only starts the server has no use for a model of its own.
    app = app_or_exit()
