# One image for the three programs; the command chooses:
#
#   the endpoint (the default)   docker run -p 8000:8000 --env-file .env -v queue:/data bigbrotherbot
#   the listener                 docker run --env-file .env -v queue2:/data bigbrotherbot python -m gateway_listener
#   the embedded SQLite service  docker run --env-file service.env -v database:/data bigbrotherbot python -m sqlite_service
#                                (service.env: HOST=0.0.0.0, PORT=8080, SQLITE_USERNAME, SQLITE_PASSWORD)
#
# One stage: every requirement comes as a wheel, so there is no compiler to leave behind. No HEALTHCHECK: the programs
# differ in what to ask, and Kubernetes asks by itself (k8s/).
FROM python:3.13.14-slim-trixie

ENV PYTHONUNBUFFERED=1 \
    QUEUE_FILE=/data/queue.db \
    SQLITE_FILE=/data/bigbrother.db

WORKDIR /app

COPY requirements.txt ./
RUN pip install --no-cache-dir --only-binary :all: --requirement requirements.txt

COPY gunicorn.conf.py ./
COPY program/ program/
COPY db_client/ db_client/
COPY interactions_api/ interactions_api/
COPY gateway_listener/ gateway_listener/
COPY sqlite_service/ sqlite_service/
RUN python -m compileall -q .

# The queue files and the database live on a volume, never in the container's own layer.
RUN install --directory --owner=10001 --group=10001 /data
VOLUME /data
USER 10001:10001

EXPOSE 8000
CMD ["sh", "-c", "exec gunicorn --bind 0.0.0.0:${PORT:-8000} 'interactions_api.app:create_app()'"]
