// SPDX-License-Identifier: Apache-2.0

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The JDK's own HTTP server; each request makes a random number of calls.
 *
 * <ul>
 * <li>MODE=pool: SERVER_THREADS threads take the requests and hand each piece of work to WORKERS others, then wait in
 * Future.get; HttpURLConnection makes the calls.
 * <li>MODE=completable: 4 threads take the requests and start a chain of CompletableFuture.supplyAsync on WORKERS threads;
 * whoever ends the chain writes the answer.
 * <li>MODE=jdkclient: as pool, but a server thread makes its calls itself, with java.net.http.HttpClient.
 * <li>MODE=virtual: a virtual thread a request, and one for each parallel call (needs Java 21).
 * </ul>
 */
final class Plain {
	private static ExecutorService serving;
	private static ExecutorService workers;

	private Plain() {
	}

	/** The executor of Java 21, without needing its compiler. */
	private static ExecutorService virtualThreads() throws ReflectiveOperationException {
		return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
	}

	private static void answer(HttpExchange x, boolean ok) {
		byte[] body = "ok\n".getBytes();
		try (x) {
			x.sendResponseHeaders(ok ? 200 : 502, body.length);
			x.getResponseBody().write(body);
		} catch (IOException e) {
			e.printStackTrace();
		}
	}

	private static boolean hand(String token, String kind) throws Exception {
		if (!Mix.MODE.equals("pool"))
			return Mix.call(token, kind);
		return workers.submit(() -> Mix.work(token, kind)).get();
	}

	private static boolean together(String token) throws Exception {
		List<Future<Boolean>> all = new ArrayList<>();
		boolean ok = true;
		for (String kind : Mix.plan("parallel"))
			all.add(workers.submit(() -> Mix.work(token, kind)));
		for (Future<Boolean> f : all)
			ok &= f.get();
		return ok;
	}

	private static boolean request(String token) throws Exception {
		boolean ok = true;
		Mix.think();
		if (Mix.chance(Mix.PARALLEL)) {
			ok = together(token);
			Mix.think();
		} else {
			for (String kind : Mix.plan("call")) {
				ok &= hand(token, kind);
				Mix.think();
			}
		}
		if (Mix.chance(Mix.BACKGROUND))
			workers.submit(() -> Mix.work(token, "background"));
		return ok;
	}

	private static void blocking(HttpExchange x) {
		boolean ok = false;
		try {
			ok = request(Mix.tokenOf(x.getRequestURI().getPath()));
		} catch (Exception e) {
			e.printStackTrace();
		}
		answer(x, ok);
	}

	private static CompletableFuture<Boolean> step(String token, String kind) {
		return CompletableFuture.supplyAsync(() -> Mix.work(token, kind), workers);
	}

	private static void chained(HttpExchange x) {
		String token = Mix.tokenOf(x.getRequestURI().getPath());
		boolean parallel = Mix.chance(Mix.PARALLEL);
		CompletableFuture<Boolean> chain = CompletableFuture.supplyAsync(() -> {
			Mix.think();
			return true;
		}, workers);

		for (String kind : Mix.plan(parallel ? "parallel" : "call")) {
			if (parallel)
				chain = chain.thenCombine(step(token, kind), Boolean::logicalAnd);
			else
				chain = chain.thenApplyAsync(ok -> Mix.work(token, kind) && ok, workers);
		}
		chain.whenComplete((ok, e) -> {
			if (Mix.chance(Mix.BACKGROUND))
				step(token, "background");
			answer(x, e == null && ok);
		});
	}

	private static void useJdkClient() {
		HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		Mix.client = path -> {
			HttpRequest r = HttpRequest.newBuilder(URI.create("http://" + Mix.BACK + path)).build();
			return http.send(r, HttpResponse.BodyHandlers.ofString()).statusCode() < 400;
		};
	}

	public static void main(String[] args) throws Exception {
		System.setProperty("http.maxConnections", Integer.toString(Mix.CONNS));
		System.setProperty("sun.net.httpserver.nodelay", "true");
		System.setProperty("sun.net.httpserver.maxIdleConnections", "4096");
		boolean chain = Mix.MODE.equals("completable");
		if (Mix.MODE.equals("jdkclient"))
			useJdkClient();
		if (Mix.MODE.equals("virtual")) {
			serving = workers = virtualThreads();
		} else {
			serving = Executors.newFixedThreadPool(chain ? 4 : Mix.SERVER_THREADS);
			workers = Executors.newFixedThreadPool(Mix.WORKERS);
		}
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Mix.PORT), 1024);
		server.createContext("/", chain ? Plain::chained : Plain::blocking);
		server.setExecutor(serving);
		server.start();
		Mix.startTimer();
	}
}
