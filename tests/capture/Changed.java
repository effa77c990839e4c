// SPDX-License-Identifier: Apache-2.0

import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;

/** For test_transform.py: "get DIR CLASS..." writes the VM's own class files; "run" does work through all that is changed. */
final class Changed {
	private Changed() {
	}

	private static void get(Path dir, String name) throws Exception {
		String file = "/" + name + ".class";
		Module m = name.startsWith("jdk/internal/net") ? HttpClient.class.getModule() : Object.class.getModule();
		try (InputStream in = m.getResourceAsStream(file)) {
			if (in == null)
				return;
			Path to = dir.resolve(m.getName() + file);
			Files.createDirectories(to.getParent());
			Files.copy(in, to);
		}
	}

	private static void equal(Object a, Object b) {
		if (!a.equals(b))
			throw new AssertionError(a + " is not " + b);
	}

	private static void pools() throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(2);
		equal(pool.submit(() -> 7).get(), 7);
		equal(pool.submit(() -> { }, "x").get(), "x");
		pool.invokeAll(List.of(() -> 1, () -> 2));
		CompletableFuture<Integer> a = CompletableFuture.supplyAsync(() -> 1, pool).thenApplyAsync(x -> x + 1, pool);
		CompletableFuture<Integer> b = new CompletableFuture<Integer>().completeAsync(() -> 40);
		equal(a.thenCombine(b, Integer::sum).thenCompose(x -> CompletableFuture.completedFuture(x)).get(), 42);
		equal(a.applyToEither(b, x -> 5).handle((x, e) -> x + 1).exceptionally(e -> 0).get(), 6);
		CompletableFuture.runAsync(() -> { }).thenRun(() -> { }).runAfterBoth(a, () -> { }).runAfterEither(b, () -> { })
		    .thenAccept(x -> { }).thenAcceptBoth(a, (x, y) -> { }).acceptEither(a.thenAccept(x -> { }), x -> { })
		    .whenComplete((x, e) -> { }).get();
		equal(CompletableFuture.supplyAsync(() -> Integer.parseInt("no")).exceptionally(e -> 9).get(), 9);
		equal(ForkJoinPool.commonPool().submit(() -> 3).get(), 3);
		ForkJoinPool.commonPool().submit(() -> { }).get();
		pool.shutdown();
		if (!pool.awaitTermination(20, TimeUnit.SECONDS))
			throw new AssertionError("the pool did not end");
	}

	private static void http() throws Exception {
		var server = com.sun.net.httpserver.HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 16);
		server.createContext("/", x -> {
			x.sendResponseHeaders(200, -1);
			x.close();
		});
		server.start();
		URI to = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/");
		HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		equal(client.send(HttpRequest.newBuilder(to).build(), HttpResponse.BodyHandlers.ofString()).statusCode(), 200);
		server.stop(0);
	}

	private static void virtual() throws Exception {
		Thread t;
		try {
			t = (Thread) Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, (Runnable) () -> { });
		} catch (NoSuchMethodException e) {
			return;
		}
		t.join();
	}

	public static void main(String[] args) throws Exception {
		if (args[0].equals("get")) {
			for (int i = 2; i < args.length; i++)
				get(Path.of(args[1]), args[i]);
			return;
		}
		pools();
		http();
		virtual();
		System.out.println("all was done");
		System.exit(0);
	}
}
