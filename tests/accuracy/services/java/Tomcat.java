// SPDX-License-Identifier: Apache-2.0

import jakarta.servlet.AsyncContext;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.connector.Connector;
import org.apache.coyote.AbstractProtocol;

/**
 * Tomcat: SERVER_THREADS threads, fewer than the requests in flight.
 *
 * <ul>
 * <li>MODE=blocking: the servlet's thread makes the calls, with HttpURLConnection.
 * <li>MODE=async: it starts an AsyncContext; one of WORKERS other threads makes the calls and completes it.
 * </ul>
 */
final class Tomcat {
	private static final ExecutorService WORKERS = Executors.newFixedThreadPool(Mix.WORKERS);

	private Tomcat() {
	}

	private static final class Servlet extends HttpServlet {
		private static final long serialVersionUID = 1;

		private void answer(HttpServletResponse r, boolean ok) throws IOException {
			r.setStatus(ok ? 200 : 502);
			r.setContentType("text/plain");
			r.setContentLength(3);
			r.getOutputStream().print("ok\n");
		}

		private boolean request(String token) {
			boolean ok = true;
			Mix.think();
			for (String kind : Mix.plan("call")) {
				ok &= Mix.call(token, kind);
				Mix.think();
			}
			if (Mix.chance(Mix.BACKGROUND))
				WORKERS.execute(() -> Mix.work(token, "background"));
			return ok;
		}

		@Override
		protected void doGet(HttpServletRequest q, HttpServletResponse r) throws IOException {
			String token = Mix.tokenOf(q.getRequestURI());
			if (!Mix.MODE.equals("async")) {
				answer(r, request(token));
				return;
			}
			AsyncContext async = q.startAsync();
			WORKERS.execute(() -> {
				try {
					answer((HttpServletResponse) async.getResponse(), request(token));
				} catch (IOException e) {
					e.printStackTrace();
				}
				async.complete();
			});
		}
	}

	public static void main(String[] args) throws Exception {
		System.setProperty("http.maxConnections", Integer.toString(Mix.CONNS));
		File base = Files.createTempDirectory("clew-tomcat").toFile();
		base.deleteOnExit();
		org.apache.catalina.startup.Tomcat tomcat = new org.apache.catalina.startup.Tomcat();
		tomcat.setBaseDir(base.getPath());
		Connector connector = new Connector();
		connector.setPort(Mix.PORT);
		connector.setProperty("address", "127.0.0.1");
		connector.setProperty("maxKeepAliveRequests", "-1");
		((AbstractProtocol<?>) connector.getProtocolHandler()).setMaxThreads(Mix.SERVER_THREADS);
		tomcat.setConnector(connector);
		Context context = tomcat.addContext("", base.getPath());
		Wrapper servlet = org.apache.catalina.startup.Tomcat.addServlet(context, "mix", new Servlet());
		servlet.setAsyncSupported(true);
		context.addServletMappingDecoded("/*", "mix");
		tomcat.start();
		Mix.startTimer();
		tomcat.getServer().await();
	}
}
