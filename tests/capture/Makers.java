// SPDX-License-Identifier: Apache-2.0

import java.io.InputStream;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Round by round the main thread reads "round N\n" and hands a piece of work to a pool, which writes "work N\n" to a
 * new connection; then the main thread writes "done N\n" where it has read. Now and then a collection; with an argument
 * every tenth piece of work makes garbage until there was one, and there is time to look at what that left.
 */
final class Makers {
	private static final int ROUNDS = 200;

	private Makers() {
	}

	/** Something of the last garbage: it must not be left out. */
	private static volatile byte[] last;

	private static long collections() {
		long n = 0;
		for (GarbageCollectorMXBean b : ManagementFactory.getGarbageCollectorMXBeans())
			n += b.getCollectionCount();
		return n;
	}

	private static void litter() {
		long before = collections();
		while (collections() == before)
			for (int i = 0; i < 100; i++)
				last = new byte[1000];
	}

	private static void say(Socket s, String line) {
		try {
			s.getOutputStream().write((line + "\n").getBytes());
		} catch (Exception e) {
			throw new IllegalStateException(e);
		}
	}

	private static void work(ServerSocket to, String line) {
		try (Socket s = new Socket(InetAddress.getLoopbackAddress(), to.getLocalPort())) {
			say(s, line);
		} catch (Exception e) {
			throw new IllegalStateException(e);
		}
	}

	private static void readLine(Socket s) throws Exception {
		InputStream in = s.getInputStream();
		byte[] all = new byte[64];
		int n = 0;
		do
			n += in.read(all, n, all.length - n);
		while (all[n - 1] != '\n');
	}

	public static void main(String[] args) throws Exception {
		boolean litters = args.length > 0;
		InetAddress here = InetAddress.getLoopbackAddress();
		ServerSocket swallowed = new ServerSocket(0, 16, here);
		ServerSocket server = new ServerSocket(0, 16, here);
		Swallow.start(swallowed);
		Socket asks = new Socket(here, server.getLocalPort());
		Socket served = server.accept();
		ExecutorService pool = Executors.newFixedThreadPool(2);
		for (int i = 0; i < 4; i++)
			pool.submit(() -> work(swallowed, "begins")).get();
		System.out.println("{\"ready\": true}");
		System.in.read();
		for (int i = 1; i <= ROUNDS; i++) {
			int n = i;
			say(asks, "round " + n);
			readLine(served);
			pool.submit(() -> {
				if (litters && n % 10 == 0)
					litter();
				work(swallowed, "work " + n);
			}).get();
			say(served, "done " + n);
			readLine(asks);
			if (litters && n % 10 == 0)
				Thread.sleep(100);
			else if (n % 50 == 0)
				System.gc();
		}
		System.exit(0);
	}
}
