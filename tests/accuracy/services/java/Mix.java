// SPDX-License-Identifier: Apache-2.0

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;

/**
 * What all Java services share: settings, the truth file, think times and the blocking client. Environment: see
 * ../../case.py.
 */
final class Mix {
	static final String NAME = var("NAME", "svc");
	static final String BACK = var("BACK", "127.0.0.1:1");
	static final String BACK_NAME = var("BACK_NAME", "leaf");
	static final String MODE = var("MODE", "pool");
	static final int PORT = (int) num("PORT", "0");
	static final int WORKERS = (int) num("WORKERS", "16");
	static final int CONNS = (int) num("CONNS", "16");
	static final int SERVER_THREADS = (int) num("SERVER_THREADS", "32");
	static final double THINK_MS = num("THINK_MS", "10");
	static final int STEPS = (int) num("STEPS", "2");
	static final double SKIP = num("SKIP", "0");
	static final double REPEAT = num("REPEAT", "0");
	static final int RETRIES = (int) num("RETRIES", "2");
	static final double PARALLEL = num("PARALLEL", "0");
	static final double BACKGROUND = num("BACKGROUND", "0");
	static final double TIMER_MS = num("TIMER_MS", "0");
	private static final OutputStream TRUTH = truth();

	/** How a call reaches the back end: true when it was answered with success. */
	interface Client {
		boolean get(String path) throws Exception;
	}

	static Client client = Mix::urlConnection;

	private Mix() {
	}

	static String var(String name, String otherwise) {
		String v = System.getenv(name);
		return v == null || v.isEmpty() ? otherwise : v;
	}

	static double num(String name, String otherwise) {
		return Double.parseDouble(var(name, otherwise));
	}

	private static OutputStream truth() {
		try {
			return new FileOutputStream(var("TRUTH", "/dev/null"), true);
		} catch (IOException e) {
			throw new ExceptionInInitializerError(e);
		}
	}

	/** Whether something that happens with this probability happens now. */
	static boolean chance(double p) {
		return ThreadLocalRandom.current().nextDouble() < p;
	}

	/** The kinds of the calls that a request makes, tries after a failure aside. */
	static List<String> plan(String usual) {
		List<String> kinds = new ArrayList<>();
		for (int i = 0; i < STEPS; i++) {
			if (chance(SKIP))
				continue;
			kinds.add(usual);
			if (chance(REPEAT))
				kinds.add("repeat");
		}
		return kinds;
	}

	static long thinkMicros() {
		return (long) (1000 * ThreadLocalRandom.current().nextDouble() * 2 * THINK_MS);
	}

	static void sleepMicros(long us) {
		try {
			Thread.sleep(us / 1000, (int) (us % 1000) * 1000);
		} catch (InterruptedException e) {
			Thread.currentThread().interrupt();
		}
	}

	static void think() {
		long us = thinkMicros();
		if (us > 0)
			sleepMicros(us);
	}

	static String tokenOf(String path) {
		return path.substring(path.lastIndexOf('/') + 1);
	}

	/** Writes the pair to the truth and returns the path of the call. */
	static String fresh(String token, String kind) {
		byte[] b = new byte[16];
		ThreadLocalRandom.current().nextBytes(b);
		String out = HexFormat.of().formatHex(b);
		String line = NAME + "\t" + token + "\t" + BACK_NAME + "\t" + out + "\t" + kind + "\n";
		try {
			TRUTH.write(line.getBytes(StandardCharsets.US_ASCII));
		} catch (IOException e) {
			e.printStackTrace();
			System.exit(1);
		}
		return "/" + BACK_NAME + "/" + out;
	}

	static boolean urlConnection(String path) throws IOException {
		HttpURLConnection c = (HttpURLConnection) URI.create("http://" + BACK + path).toURL().openConnection();
		int status = c.getResponseCode();
		try (InputStream in = status < 400 ? c.getInputStream() : c.getErrorStream()) {
			if (in != null)
				in.readAllBytes();
		}
		return status < 400;
	}

	/** The kind of a call that is made again. */
	static String again(String kind) {
		return kind.equals("background") || kind.equals("timer") ? kind : "retry";
	}

	/** A call, made again with another token when the back end was not able. */
	static boolean call(String token, String kind) {
		String again = again(kind);
		for (int i = 0; i <= RETRIES; i++) {
			try {
				if (client.get(fresh(token, i > 0 ? again : kind)))
					return true;
			} catch (Exception e) {
				e.printStackTrace();
			}
		}
		return false;
	}

	/** One piece of blocking work. */
	static boolean work(String token, String kind) {
		think();
		boolean ok = call(token, kind);
		think();
		return ok;
	}

	/** Starts the thread that makes calls which no request caused. */
	static void startTimer() {
		if (TIMER_MS <= 0)
			return;
		Thread t = new Thread(() -> {
			for (;;) {
				sleepMicros((long) (1000 * TIMER_MS * (0.5 + ThreadLocalRandom.current().nextDouble())));
				call("-", "timer");
			}
		}, "timer");
		t.setDaemon(true);
		t.start();
	}
}
