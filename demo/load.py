# SPDX-License-Identifier: Apache-2.0
"""A few shoppers, for a few seconds: browse, look, buy. Bounded in time and in number."""
import collections
import http.client
import json
import random
import threading
import time


def shopper(port, seed, end, counts, budget):
    """One shopper on one kept-alive connection, thinking between clicks."""
    chance = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(budget):
        if time.monotonic() > end:
            break
        dice, body = chance.random(), None
        method, path = "GET", f"/items/{chance.choice((chance.randint(1, 200), chance.randint(1, 12)))}"
        if dice < 0.15:
            path = "/"
        elif dice < 0.35:
            path = "/items"
        elif dice < 0.45:
            path = f"/price/{chance.randint(1, 200)}"
        elif dice < 0.60:
            quantity = 10 if chance.random() < 0.06 else chance.randint(1, 4)
            method, path = "POST", "/checkout"
            body = json.dumps({"item": chance.randint(1, 200), "quantity": quantity})
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            response.read()
            counts[response.status] += 1
        except (OSError, http.client.HTTPException):
            connection.close()
            counts["failed"] += 1
        time.sleep(chance.expovariate(1 / 0.03))
    connection.close()


def run(port, seconds=10.0, shoppers=8, each=400):
    """Returns how often each status came."""
    counts = collections.Counter()
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=shopper, args=(port, n, end, counts, each), daemon=True)
               for n in range(shoppers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts
