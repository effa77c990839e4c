# SPDX-License-Identifier: Apache-2.0
"""The shop's catalogue and orders: a plain WSGI application under gunicorn. It knows nothing of tracing.

    GET  /items          a page of the catalogue         PostgreSQL
    GET  /items/ID       one item and its price          redis, else PostgreSQL; then the pricing service
    POST /checkout       {"item":ID,"quantity":N}        redis, pricing, PostgreSQL; a big order is
                                                         reviewed, which takes a while
"""
import http.client
import json
import os
import re
import threading

import psycopg2
import redis

PRICING = int(os.environ["SHOP_PRICING_PORT"])
stock = redis.Redis(port=int(os.environ["SHOP_REDIS_PORT"]))
local = threading.local()


def query(text, *values):
    """One statement on this thread's own connection."""
    if not hasattr(local, "db"):
        local.db = psycopg2.connect(host=os.environ["SHOP_SOCKETS"], dbname="postgres", user="shop")
        local.db.autocommit = True
    with local.db.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall() if cursor.description else []


def pricing(path):
    connection = http.client.HTTPConnection("127.0.0.1", PRICING, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"pricing answered {response.status}")
    return json.loads(body)


def catalogue(_):
    return [dict(zip(("id", "name"), row)) for row in query("SELECT id, name FROM items ORDER BY id LIMIT 20")]


def item(number):
    key = f"item:{number}"
    name = stock.get(key)
    if name is None:
        rows = query("SELECT name FROM items WHERE id = %s", number)
        if not rows:
            return None
        name = rows[0][0].encode()
        stock.set(key, name, ex=2)
    return {"id": number, "name": name.decode(), **pricing(f"/price/{number}")}


def checkout(order):
    number, quantity = int(order["item"]), int(order["quantity"])
    stock.incrby(f"sold:{number}", quantity)
    price = pricing(f"/quote/{number}?quantity={quantity}")
    if quantity >= 10:
        query("SELECT pg_sleep(0.25)")  # a big order is reviewed
    query("UPDATE items SET stock = stock - %s WHERE id = %s", quantity, number)
    rows = query("INSERT INTO orders (item, quantity, cents) VALUES (%s, %s, %s) RETURNING id",
                 number, quantity, price["cents"])
    return {"order": rows[0][0], **price}


def app(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    status, answer = "200 OK", None
    try:
        one = re.fullmatch(r"/items/(\d+)", path)
        if one:
            answer = item(int(one[1]))
        elif path == "/items":
            answer = catalogue(None)
        elif path == "/checkout" and method == "POST":
            answer = checkout(json.load(environ["wsgi.input"]))
        if answer is None:
            status, answer = "404 Not Found", {"error": "no such thing"}
    except RuntimeError as e:
        status, answer = "502 Bad Gateway", {"error": str(e)}
    body = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
