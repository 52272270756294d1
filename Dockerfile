# The packages are installed in a first stage, so that pip's leftovers stay out of the image that is shipped.
# Serving needs no TensorFlow: the weights run from the file derived from them (docs/decisions/001-fast-engine.md).
FROM python:3.11.14-slim-bookworm AS build
COPY requirements.txt /build/requirements.txt
RUN python -m venv /opt/venv
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /build/requirements.txt
RUN /opt/venv/bin/pip uninstall --yes pip setuptools

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A router goes on sending for a moment after it was told that an instance ends.
ENV FOOD_VISION_DRAIN_DELAY=2
WORKDIR /app
COPY LICENSE main.py food-vision-model.h5 food-vision-model.onnx ./
COPY food_vision ./food_vision
# A number, so that platforms can check that it is not root. Any other user works too: nothing is written at run time,
# but figures into /tmp where there are several workers.
USER 10001:10001
# Platforms set PORT; without it the service listens on 5000.
EXPOSE 5000
CMD ["python", "main.py"]
