// SPDX-License-Identifier: Apache-2.0

import java.io.OutputStream;
import java.net.ServerSocket;
import java.net.Socket;

/** A server that reads what it is sent and throws it away. */
final class Swallow {
	private Swallow() {
	}

	private static void daemon(Runnable r) {
		Thread t = new Thread(r);
		t.setDaemon(true);
		t.start();
	}

	private static void read(Socket s) {
		try (s) {
			s.getInputStream().transferTo(OutputStream.nullOutputStream());
		} catch (Exception e) {
			e.printStackTrace();
		}
	}

	static void start(ServerSocket server) {
		daemon(() -> {
			try {
				for (;;) {
					Socket s = server.accept();
					daemon(() -> read(s));
				}
			} catch (Exception e) {
				e.printStackTrace();
			}
		});
	}
}
