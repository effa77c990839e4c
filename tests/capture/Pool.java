// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;

/**
 * For each line on standard input: every way of handing work over, round by round. Work writes "ROUND KIND\n" to a
 * socket; whoever hands it over has written "ROUND begins\n" just before. Then a line on standard output.
 */
final class Pool {
	private static final int ROUNDS = 50;
	private static Socket[] sockets;

	private Pool() {
	}

	private static boolean write(int socket, int round, String what) {
		try {
			synchronized (sockets[socket]) {
				sockets[socket].getOutputStream().write((round + " " + what + "\n").getBytes());
			}
			return true;
		} catch (Exception e) {
			throw new IllegalStateException(e);
		}
	}

	private static void round(ExecutorService pool, int n) throws Exception {
		write(0, n, "begins");
		pool.submit(() -> write(1, n, "submit")).get();
		CountDownLatch done = new CountDownLatch(1);
		pool.execute(() -> {
			write(1, n, "execute");
			done.countDown();
		});
		done.await();
		CompletableFuture.supplyAsync(() -> write(1, n, "supply"), pool).thenApplyAsync(ok -> write(2, n, "apply"), pool)
		    .thenAccept(ok -> write(3, n, "accept")).get();
		ForkJoinPool.commonPool().submit(() -> write(1, n, "forkjoin")).get();
	}

	public static void main(String[] args) throws Exception {
		ServerSocket server = new ServerSocket(0, 16, InetAddress.getLoopbackAddress());
		Swallow.start(server);
		sockets = new Socket[4];
		for (int i = 0; i < sockets.length; i++)
			sockets[i] = new Socket(InetAddress.getLoopbackAddress(), server.getLocalPort());
		ExecutorService pool = Executors.newFixedThreadPool(4);
		round(pool, 0); // its threads wait for work when the agent comes
		System.out.println("{\"ready\": true}");
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		while (in.readLine() != null) {
			for (int i = 1; i <= ROUNDS; i++)
				round(pool, i);
			System.out.println("{\"done\": true}");
		}
		pool.shutdown();
	}
}
