# SPDX-License-Identifier: Apache-2.0
"""A WSGI application, for gunicorn: blocking calls by the thread (or greenlet) that serves the request."""

import threading

import blocking
import flow

STATUS = {200: "200 OK", 502: "502 Bad Gateway"}


def app(environ, start_response):
    token = flow.token_of(environ["PATH_INFO"])
    status = blocking.work(token)
    if flow.starts_background():
        threading.Thread(target=blocking.background, args=(token,), daemon=True).start()
    start_response(STATUS[status], [("Content-Type", "text/plain"), ("Content-Length", str(len(flow.BODY)))])
    return [flow.BODY]
