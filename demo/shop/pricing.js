// SPDX-License-Identifier: Apache-2.0
// The shop's prices: a Node service that keeps its counters in redis. It knows nothing of tracing.
//
//   GET /price/ID            what one costs
//   GET /quote/ID?quantity=N what N cost together
'use strict';
const http = require('node:http');
const net = require('node:net');

// As much of redis's protocol as this service needs: commands out, one-line answers in, in order.
const waiting = [];
const redis = net.connect(Number(process.env.SHOP_REDIS_PORT), '127.0.0.1');
let pending = '';
redis.on('data', (data) => {
  pending += data;
  for (let end; (end = pending.indexOf('\r\n')) >= 0; pending = pending.slice(end + 2)) {
    waiting.shift()(pending.slice(1, end));
  }
});
redis.on('error', (e) => { console.error(String(e)); process.exit(1); });

function command(...words) {
  const parts = words.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`);
  return new Promise((done) => {
    waiting.push(done);
    redis.write(`*${words.length}\r\n${parts.join('')}`);
  });
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://pricing');
  const [, kind, id] = url.pathname.split('/');
  const number = Number(id);
  const asked = Number(await command('INCR', `asked:${id}`));
  let status = 200;
  let answer;
  if (!(kind === 'price' || kind === 'quote') || !Number.isInteger(number)) {
    status = 404;
    answer = { error: 'no such price' };
  } else if (number % 100 === 13) {
    status = 500; // the bug of this shop: some items have no price
    answer = { error: `no price for item ${number}` };
  } else {
    const quantity = Number(url.searchParams.get('quantity') || 1);
    answer = { cents: (500 + (number * 137) % 9000) * quantity, asked };
  }
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(answer));
});

server.listen(Number(process.env.SHOP_PRICING_PORT), '127.0.0.1');
