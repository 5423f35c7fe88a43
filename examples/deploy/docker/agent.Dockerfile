# The image of asyncdsm's own agent, which keeps its data in the volume /data.
FROM python:3.13-slim

ARG EXTRAS=agent
COPY wheels/ /wheels/
RUN pip install --no-cache-dir "$(ls /wheels/asyncdsm-*.whl)[$EXTRAS]"
RUN useradd --create-home agent && install --directory --owner agent /data
USER agent
VOLUME /data

EXPOSE 8126
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8126/api/health', timeout=3)"]
ENTRYPOINT ["asyncdsm", "agent"]
CMD ["--host", "0.0.0.0", "--store", "/data/dsm.db"]
