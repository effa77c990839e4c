// SPDX-License-Identifier: Apache-2.0

import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.pool.AbstractChannelPoolHandler;
import io.netty.channel.pool.FixedChannelPool;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpRequest;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.util.concurrent.Future;
import io.netty.util.concurrent.Promise;
import io.netty.util.concurrent.PromiseCombiner;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * Netty, two event loops.
 *
 * <ul>
 * <li>MODE=loop: the request's loop makes the calls, through Netty's client and a FixedChannelPool of CONNS; thinking
 * is the loop's schedule().
 * <li>MODE=pool: the handler hands the whole request to WORKERS threads with HttpURLConnection; the answer goes back
 * through the loop.
 * </ul>
 */
final class Netty {
	private static final EventLoopGroup LOOPS = new NioEventLoopGroup(2);
	private static final ExecutorService WORKERS = Executors.newFixedThreadPool(Mix.WORKERS);
	private static final FixedChannelPool CALLS = calls();

	private Netty() {
	}

	// ---- the client ----

	/** Ends the call of the connection that it is on. */
	private static final class Answer extends SimpleChannelInboundHandler<FullHttpResponse> {
		private Promise<Boolean> call;

		@Override
		protected void channelRead0(ChannelHandlerContext c, FullHttpResponse r) {
			Promise<Boolean> ended = call;
			boolean ok = r.status().code() < 400;
			call = null;
			CALLS.release(c.channel()).addListener(x -> ended.trySuccess(ok));
		}

		@Override
		public void channelInactive(ChannelHandlerContext c) {
			if (call != null)
				call.trySuccess(false);
		}
	}

	private static FixedChannelPool calls() {
		int colon = Mix.BACK.lastIndexOf(':');
		InetSocketAddress to = new InetSocketAddress(Mix.BACK.substring(0, colon),
				Integer.parseInt(Mix.BACK.substring(colon + 1)));
		Bootstrap b = new Bootstrap().group(LOOPS).channel(NioSocketChannel.class).remoteAddress(to)
				.option(ChannelOption.TCP_NODELAY, true);
		return new FixedChannelPool(b, new AbstractChannelPoolHandler() {
			@Override
			public void channelCreated(Channel c) {
				c.pipeline().addLast(new HttpClientCodec(), new HttpObjectAggregator(65536), new Answer());
			}
		}, Mix.CONNS);
	}

	private static void send(Channel c, String path, Promise<Boolean> call) {
		FullHttpRequest q = new DefaultFullHttpRequest(HttpVersion.HTTP_1_1, HttpMethod.GET, path);
		q.headers().set(HttpHeaderNames.HOST, Mix.BACK);
		c.eventLoop().execute(() -> {
			c.pipeline().get(Answer.class).call = call;
			c.writeAndFlush(q);
		});
	}

	/** A call, made again with another token when the back end was not able; ended on the given loop. */
	private static void call(EventLoop loop, String token, String kind, int tries, Promise<Boolean> done) {
		Promise<Boolean> one = loop.newPromise();
		String path = Mix.fresh(token, kind);
		CALLS.acquire().addListener((Future<Channel> f) -> {
			if (f.isSuccess())
				send(f.getNow(), path, one);
			else
				one.trySuccess(false);
		});
		one.addListener((Future<Boolean> f) -> {
			if (f.getNow() || tries == 0)
				done.setSuccess(f.getNow());
			else
				call(loop, token, Mix.again(kind), tries - 1, done);
		});
	}

	private static Promise<Boolean> call(EventLoop loop, String token, String kind) {
		Promise<Boolean> done = loop.newPromise();
		call(loop, token, kind, Mix.RETRIES, done);
		return done;
	}

	// ---- a request on its loop ----

	private static void think(EventLoop loop, Runnable then) {
		loop.schedule(then, Mix.thinkMicros(), TimeUnit.MICROSECONDS);
	}

	private static void inTurn(EventLoop loop, String token, List<String> kinds, boolean ok, Promise<Boolean> done) {
		if (kinds.isEmpty()) {
			done.setSuccess(ok);
			return;
		}
		call(loop, token, kinds.get(0)).addListener((Future<Boolean> f) -> think(loop,
				() -> inTurn(loop, token, kinds.subList(1, kinds.size()), ok & f.getNow(), done)));
	}

	private static void together(EventLoop loop, String token, List<String> kinds, Promise<Boolean> done) {
		PromiseCombiner all = new PromiseCombiner(loop);
		Promise<Void> ended = loop.newPromise();
		boolean[] ok = {true};
		for (String kind : kinds) {
			Promise<Boolean> one = loop.newPromise();
			all.add((Future<Boolean>) one);
			one.addListener((Future<Boolean> f) -> ok[0] &= f.getNow());
			think(loop, () -> call(loop, token, kind, Mix.RETRIES, one));
		}
		all.finish(ended);
		ended.addListener(f -> done.setSuccess(ok[0]));
	}

	private static Promise<Boolean> request(EventLoop loop, String token) {
		Promise<Boolean> done = loop.newPromise();
		think(loop, () -> {
			if (Mix.chance(Mix.PARALLEL))
				together(loop, token, Mix.plan("parallel"), done);
			else
				inTurn(loop, token, Mix.plan("call"), true, done);
		});
		return done;
	}

	private static boolean blocking(String token) {
		boolean ok = true;
		Mix.think();
		for (String kind : Mix.plan("call")) {
			ok &= Mix.call(token, kind);
			Mix.think();
		}
		return ok;
	}

	/** The server's end of a connection. */
	private static final class Handler extends SimpleChannelInboundHandler<FullHttpRequest> {
		private void answer(ChannelHandlerContext c, boolean ok) {
			DefaultFullHttpResponse r = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1,
					ok ? HttpResponseStatus.OK : HttpResponseStatus.BAD_GATEWAY,
					Unpooled.copiedBuffer("ok\n".getBytes()));
			r.headers().set(HttpHeaderNames.CONTENT_LENGTH, 3);
			c.writeAndFlush(r);
		}

		@Override
		protected void channelRead0(ChannelHandlerContext c, FullHttpRequest q) {
			String token = Mix.tokenOf(q.uri());
			EventLoop loop = c.channel().eventLoop();
			if (Mix.MODE.equals("pool")) {
				WORKERS.execute(() -> {
					boolean ok = blocking(token);
					if (Mix.chance(Mix.BACKGROUND))
						WORKERS.execute(() -> Mix.work(token, "background"));
					answer(c, ok);
				});
				return;
			}
			request(loop, token).addListener((Future<Boolean> f) -> {
				if (Mix.chance(Mix.BACKGROUND))
					think(loop, () -> call(loop, token, "background"));
				answer(c, f.getNow());
			});
		}
	}

	private static void timer(EventLoop loop) {
		long us = (long) (1000 * Mix.TIMER_MS * (Mix.chance(0.5) ? 0.7 : 1.3));
		loop.schedule(() -> call(loop, "-", "timer").addListener(f -> timer(loop)), us, TimeUnit.MICROSECONDS);
	}

	public static void main(String[] args) throws Exception {
		System.setProperty("http.maxConnections", Integer.toString(Mix.CONNS));
		ServerBootstrap b = new ServerBootstrap().group(LOOPS).channel(NioServerSocketChannel.class)
				.option(ChannelOption.SO_BACKLOG, 1024);
		b.childHandler(new ChannelInitializer<Channel>() {
			@Override
			protected void initChannel(Channel c) {
				c.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(65536), new Handler());
			}
		});
		Channel server = b.bind("127.0.0.1", Mix.PORT).sync().channel();
		if (Mix.MODE.equals("pool"))
			Mix.startTimer();
		else if (Mix.TIMER_MS > 0)
			timer(LOOPS.next());
		server.closeFuture().sync();
	}
}
