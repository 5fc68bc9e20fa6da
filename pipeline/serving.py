"""How do other programs ask for predictions? POST /query."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pipeline.exceptions import WorkbenchError
from pipeline.sources import BUNDLED_RUN

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

DEFAULT_MODEL = BUNDLED_RUN
MAX_SENTENCES = 10_000
MAX_BODY_BYTES = 16 * 2**20


def answer(body: bytes) -> tuple[int, dict[str, Any]]:
    """HTTP status and JSON for the body of a query: `{"sentences": [...]}` to label ids, labels and probabilities."""
    from pipeline.predictor import Predictor

    try:
        query = json.loads(body)
    except (ValueError, RecursionError):
        return 400, {"error": 'The body is not JSON. Send {"sentences": ["...", ...]}.'}
    sentences = query.get("sentences") if isinstance(query, dict) else None
    if not sentences:
        return 400, {"error": "No sentences provided"}
    if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
        return 400, {"error": '"sentences" must be a list of texts. Send {"sentences": ["...", ...]}.'}
    if len(sentences) > MAX_SENTENCES:
        return 413, {"error": f"{len(sentences)} sentences are too many. Send at most {MAX_SENTENCES} at a time."}
    try:
        predictions = Predictor.load(os.environ.get("VOLTA_MODEL") or DEFAULT_MODEL).predict(sentences)
    except WorkbenchError as exception:
        return 404, {"error": str(exception)}
    return 200, {
        "results": [prediction.label_id for prediction in predictions],
        "labels": [prediction.label for prediction in predictions],
        "probabilities": [list(prediction.probabilities.values()) for prediction in predictions],
    }


async def query(request: Request) -> JSONResponse:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse

    if request.method != "POST":
        wrong = f'{request.method} is not answered here. POST {{"sentences": ["...", ...]}}.'
        return JSONResponse({"error": wrong}, 405, {"Allow": "POST"})
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            too_large = f"The query is larger than {MAX_BODY_BYTES // 2**20} MB. Send fewer sentences at a time."
            return JSONResponse({"error": too_large}, 413)
    status, values = await run_in_threadpool(answer, body)
    return JSONResponse(values, status)


def query_route() -> Route:
    from starlette.routing import Route

    # All methods, so that a wrong one is answered in the same form as anything else that is wrong.
    return Route("/query", query, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
