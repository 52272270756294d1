"""The app for servers that are told where to find one: ``uvicorn food_vision.asgi:app``; ``food-vision serve`` too."""

from food_vision.server import app_or_exit

app = app_or_exit()
