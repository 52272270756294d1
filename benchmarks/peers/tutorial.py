"""The tutorial's way, rewritten: Keras fetches the link into a file, loads it, predicts, and softmax comes on top.

Faithful in what costs: an asynchronous route that blocks while it works, ``get_file`` with its cache on disk by the
last part of the link, ``load_img`` without an antialiasing filter, ``model.predict`` for one photo, a second softmax.

    uvicorn benchmarks.peers.tutorial:app
"""

import numpy as np
from fastapi import FastAPI
from keras.models import load_model
from keras.utils import get_file, img_to_array, load_img
from tensorflow.nn import softmax

from benchmarks.peers.labels import DISHES, WEIGHTS

app = FastAPI()
model = load_model(WEIGHTS)


@app.post("/net/image/prediction/")
async def predict_image_link(image_link: str = "") -> dict[str, str | float]:
    """Tell the dish on the photo behind a link."""
    if not image_link:
        return {"message": "No image link provided"}
    path = get_file(origin=image_link)
    photo = img_to_array(load_img(path, target_size=(224, 224)))
    probabilities = model.predict(np.expand_dims(photo, 0))
    scores = softmax(probabilities[0]).numpy()
    return {
        "model-prediction": DISHES[int(np.argmax(scores))],
        "model-prediction-confidence-score": round(100 * float(np.max(scores)), 2),
    }
