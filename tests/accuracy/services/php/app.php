<?php
// SPDX-License-Identifier: Apache-2.0
// The work of a request (see ../../case.py) under PHP-FPM: a process a request, calls with curl, whose
// connection is kept for the request only. The settings come as FastCGI parameters, the token as the
// end of the path.

function chance(): float { return random_int(0, PHP_INT_MAX - 1) / PHP_INT_MAX; }

function pause(): void { usleep((int) (chance() * 2000 * (float) $_SERVER['THINK_MS'])); }

function call_back($curl, string $incoming, string $kind): bool
{
	for ($try = 0; $try <= (int) $_SERVER['RETRIES']; $try++) {
		$out = bin2hex(random_bytes(16));
		$line = implode("\t", [$_SERVER['NAME'], $incoming, $_SERVER['BACK_NAME'], $out, $try ? 'retry' : $kind]);
		file_put_contents($_SERVER['TRUTH'], $line . "\n", FILE_APPEND);
		curl_setopt($curl, CURLOPT_URL, "http://{$_SERVER['BACK']}/{$_SERVER['BACK_NAME']}/$out");
		curl_exec($curl);
		if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) < 400)
			return true;
	}
	return false;
}

$incoming = substr($_SERVER['DOCUMENT_URI'], -32);
$curl = curl_init();
curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
$good = true;
pause();
for ($i = 0; $i < (int) $_SERVER['STEPS']; $i++) {
	if (chance() < (float) $_SERVER['SKIP'])
		continue;
	foreach (chance() < (float) $_SERVER['REPEAT'] ? ['call', 'repeat'] : ['call'] as $kind) {
		$good = call_back($curl, $incoming, $kind) && $good;
		pause();
	}
}
http_response_code($good ? 200 : 502);
header('Content-Type: text/plain');
echo "done\n";
