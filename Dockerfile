# An image that serves one run, mounted at /run: see docs/guide-serve.md.
FROM python:3.12-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY elbax elbax
RUN pip install --no-cache-dir '.[serve]' && useradd --create-home elbax

USER elbax
WORKDIR /home/elbax
EXPOSE 8000
# The process itself takes SIGTERM, and answers what it had taken before it ends.
ENTRYPOINT ["elbax", "serve", "/run", "--host", "0.0.0.0"]
