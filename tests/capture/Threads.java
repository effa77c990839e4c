// SPDX-License-Identifier: Apache-2.0

import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/**
 * Each thread writes its own id, again and again, sleeping in between: "VIRTUAL ID\n". Half of the threads are virtual
 * where there are such. Waits for a line on its standard input before it begins.
 */
final class Threads {
	private static final int EACH = 20;
	private static final int WRITES = 30;

	private Threads() {
	}

	private static void write(int port, boolean virtual) {
		try (Socket s = new Socket(InetAddress.getLoopbackAddress(), port)) {
			@SuppressWarnings("deprecation")
			long id = Thread.currentThread().getId();
			byte[] line = ((virtual ? "virtual " : "platform ") + id + "\n").getBytes();
			for (int i = 0; i < WRITES; i++) {
				s.getOutputStream().write(line);
				Thread.sleep(1 + (id + i) % 7);
				if (i % 10 == 0)
					System.gc();
			}
		} catch (Exception e) {
			e.printStackTrace();
		}
	}

	private static Thread start(Runnable r, boolean virtual) throws ReflectiveOperationException {
		if (virtual)
			return (Thread) Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, r);
		Thread t = new Thread(r);
		t.start();
		return t;
	}

	public static void main(String[] args) throws Exception {
		ServerSocket server = new ServerSocket(0, 256, InetAddress.getLoopbackAddress());
		boolean can = args[0].equals("virtual");
		Swallow.start(server);
		System.out.println("{\"ready\": true}");
		System.in.read();
		List<Thread> all = new ArrayList<>();
		for (int i = 0; i < 2 * EACH; i++) {
			boolean virtual = can && i % 2 == 0;
			all.add(start(() -> write(server.getLocalPort(), virtual), virtual));
		}
		for (Thread t : all)
			t.join();
	}
}
