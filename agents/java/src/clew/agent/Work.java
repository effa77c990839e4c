// SPDX-License-Identifier: Apache-2.0
package clew.agent;

import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collection;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Work that one thread hands to another, and its number.
 *
 * <p>Each piece of work gets a fresh number when it is handed over; {@link #handed} says so at a probe, where BPF notes
 * who hands it over. While it runs its number stands in a cell of its thread, which BPF reads at socket operations.
 * Nothing is decided here: who works for whom is found out by clew.
 *
 * <p>The methods called by the JDK's own classes (hooks.c names them) must never throw, never block and never hold
 * what was given to them. With nobody listening they return at once.
 */
public final class Work {
	/** One for each thread: what BPF reads, and what only we read. */
	static final class Cell {
		private final ByteBuffer memory;
		long number;
		boolean inside; // of a method that calls itself
		boolean reads; // what is between reads() and done()
		long before; // that
		boolean loop; // it reads connections of others: what has no number here is nobody's
		private final long[] outer = new long[16]; // numbers of what told() goes back to
		private int depth;

		Cell(ByteBuffer memory) {
			this.memory = memory.order(ByteOrder.nativeOrder());
		}

		void set(long n) {
			number = n;
			memory.putLong(0, n);
		}

		/** Beyond what is kept it is nobody's work, also on the way back. */
		void push(long n) {
			boolean kept = depth < outer.length;
			if (kept)
				outer[depth] = number;
			depth++;
			set(kept ? n : 0);
		}

		void pop() {
			if (depth == 0)
				return;
			depth--;
			set(depth < outer.length ? outer[depth] : 0);
		}
	}

	/** A task that lies in a queue as it is. */
	private static final class Queued extends WeakReference<Runnable> {
		final long number; // 0: it lies there more than once, and nobody can tell which is which
		final int times;

		Queued(Runnable task, long number, int times) {
			super(task);
			this.number = number;
			this.times = times;
		}
	}

	private static final int SLOTS = 1 << 16; // tasks in queues; what does not fit runs without a number
	private static final int PROBES = 8;
	/** As in abi/record.h. */
	private static final long JVM = 3L << 56;
	private static final long AGENT = 4L << 56;
	/** Of an AGENT id: whoever does this work reads its requests itself. */
	private static final long READS = 1L << 55;

	private static final String WRITES = "jdk.internal.net.http.Http1Exchange$Http1Publisher$WriteTask";

	private static final AtomicReferenceArray<Queued> QUEUED = new AtomicReferenceArray<>(SLOTS);
	private static final AtomicLong NEXT = new AtomicLong();
	private static final ThreadLocal<Cell> CELL = new ThreadLocal<>();
	private static final Class<?> VIRTUAL = find("java.lang.VirtualThread");
	/** Word 0: somebody listens until that time (nanoTime); 0: nobody. Word 1: tasks that found no slot. */
	private static ByteBuffer control;
	private static Object scheduler; // of virtual threads; its tasks are not work of their submitters

	private Work() {
	}

	private static Class<?> find(String name) {
		try {
			return Class.forName(name, false, null);
		} catch (ClassNotFoundException e) {
			return null;
		}
	}

	/** Called once by the native half. */
	static void begin(ByteBuffer words, Object schedulerOfVirtualThreads) {
		scheduler = schedulerOfVirtualThreads;
		control = words.order(ByteOrder.nativeOrder());
	}

	/** The calling thread's cell: 8 bytes that live as long as it. Null: no memory. */
	private static native ByteBuffer cell();

	/** A probe: the current task begins this one, or gives it its work. */
	private static native void handed(long task);

	/** A probe: task from gives work to task to. */
	private static native void joined(long from, long to);

	private static boolean off() {
		ByteBuffer c = control;
		if (c == null)
			return true;
		long until = c.getLong(0);
		if (until == 0)
			return true;
		if (System.nanoTime() - until < 0)
			return false;
		c.putLong(0, 0);
		return true;
	}

	private static boolean isVirtual(Thread t) {
		return t.getClass() == VIRTUAL;
	}

	private static Cell here() {
		if (control == null || isVirtual(Thread.currentThread()))
			return null;
		Cell c = CELL.get();
		if (c == null) {
			ByteBuffer memory = cell();
			if (memory == null)
				return null;
			c = new Cell(memory);
			CELL.set(c);
		}
		return c;
	}

	/** For a method that calls itself: the cell; null in that inner call, which it ends, and where there is none. */
	private static Cell outside() {
		Cell c = here();
		if (c == null || !c.inside)
			return c;
		c.inside = false;
		return null;
	}

	private static long fresh() {
		long n = READS | NEXT.incrementAndGet();
		handed(AGENT | n);
		return n;
	}

	/* Around a piece of work. */

	/** What is to be given to {@link #leave}. */
	static long enter(long number) {
		Cell c = here();
		if (c == null)
			return 0;
		long before = c.number;
		c.set(number);
		return before;
	}

	/** The same for functions, which a virtual thread may run for others. */
	static long join(long number) {
		Thread t = Thread.currentThread();
		if (!isVirtual(t))
			return enter(number);
		if (!off())
			joined(AGENT | number, JVM | t.getId());
		return 0;
	}

	static void leave(long before) {
		Cell c = here();
		if (c != null)
			c.set(before);
	}

	/* Called at the beginning of the JDK's methods: their arguments, wrapped. */

	public static Runnable wrap(Runnable r) {
		if (r == null || r instanceof Wrapped || r instanceof ForkJoinTask || off())
			return r;
		/* What ends a virtual thread's sleep is nobody's work. */
		if (r.getClass().getName().startsWith("java.lang.VirtualThread"))
			return r;
		return new Wrapped.OfRunnable(r, fresh());
	}

	public static Runnable wrap(Object pool, Runnable r) {
		return pool == scheduler ? r : wrap(r);
	}

	public static Callable<?> wrap(Object pool, Callable<?> c) {
		return pool == scheduler ? c : wrap(c);
	}

	public static Callable<?> wrap(Callable<?> c) {
		if (c == null || c instanceof Wrapped || off())
			return c;
		return new Wrapped.OfCallable<>(c, fresh());
	}

	public static Supplier<?> wrap(Supplier<?> f) {
		if (f == null || f instanceof Wrapped || off())
			return f;
		return new Wrapped.OfSupplier<>(f, fresh());
	}

	public static Function<?, ?> wrap(Function<?, ?> f) {
		if (f == null || f instanceof Wrapped || off())
			return f;
		return new Wrapped.OfFunction<>(f, fresh());
	}

	public static Consumer<?> wrap(Consumer<?> f) {
		if (f == null || f instanceof Wrapped || off())
			return f;
		return new Wrapped.OfConsumer<>(f, fresh());
	}

	public static BiFunction<?, ?, ?> wrap(BiFunction<?, ?, ?> f) {
		if (f == null || f instanceof Wrapped || off())
			return f;
		return new Wrapped.OfBiFunction<>(f, fresh());
	}

	public static BiConsumer<?, ?> wrap(BiConsumer<?, ?> f) {
		if (f == null || f instanceof Wrapped || off())
			return f;
		return new Wrapped.OfBiConsumer<>(f, fresh());
	}

	/**
	 * A scheduler of java.net.http is made: is it the one that writes an exchange's request? It is made where the
	 * exchange begins, and run later by whichever thread finds the connection ready. The others belong to connections,
	 * which serve one request after the other.
	 */
	public static Runnable wrapWrites(Runnable r) {
		return r != null && r.getClass().getName().equals(WRITES) ? wrap(r) : r;
	}

	/* ThreadPoolExecutor: what is in its queue may be looked for there by its owner, so it stays as it is. */

	private static int slot(Runnable r, int i) {
		int h = System.identityHashCode(r) * 0x9e3779b9;
		return ((h >>> 16) + i) & (SLOTS - 1);
	}

	/** ThreadPoolExecutor.execute() begins. */
	public static void queued(Runnable r) {
		if (r == null || off() || r instanceof FutureTask || r instanceof Wrapped
		    || r instanceof CompletableFuture.AsynchronousCompletionTask)
			return;
		long n = fresh();
		for (int i = 0; i < PROBES; i++) {
			int at = slot(r, i);
			Queued q = QUEUED.get(at);
			Runnable there = q == null ? null : q.get();
			if (there == r) {
				QUEUED.compareAndSet(at, q, new Queued(r, 0, q.times + 1));
				return;
			}
			if (there == null && QUEUED.compareAndSet(at, q, new Queued(r, n, 1)))
				return;
		}
		control.putLong(8, control.getLong(8) + 1);
	}

	private static long unqueue(Runnable r) {
		for (int i = 0; i < PROBES; i++) {
			int at = slot(r, i);
			Queued q = QUEUED.get(at);
			if (q == null || q.get() != r)
				continue;
			QUEUED.compareAndSet(at, q, q.times > 1 ? new Queued(r, 0, q.times - 1) : null);
			return q.number;
		}
		return 0;
	}

	/** A pool's thread is about to run this task; null: none. */
	public static void took(Runnable r) {
		Cell c = here();
		if (c != null)
			c.set(r == null ? 0 : unqueue(r));
	}

	/**
	 * ThreadPoolExecutor.beforeExecute() begins. A thread that waited in the old getTask() when the agent came has got
	 * its task from there; the others have their number.
	 */
	public static void begins(Runnable r) {
		if (r == null || off())
			return;
		Cell c = here();
		if (c != null && c.number == 0)
			c.set(unqueue(r));
	}

	/** ThreadPoolExecutor.getTask() begins: is it to call itself? Its inner call returns the task. */
	public static boolean takes() {
		Cell c = outside();
		if (c == null)
			return false;
		if (c.number != 0)
			c.set(0);
		if (off())
			return false;
		c.inside = true;
		return true;
	}

	/* Servers with pools of their own. */

	/**
	 * A thread begins with a connection that has something to read: is the method to call itself? What it reads until
	 * {@link #done}, and what it hands over, is one piece of work.
	 */
	public static boolean reads() {
		Cell c = outside();
		if (c == null)
			return false;
		if (c.reads || off())
			return false;
		c.reads = c.inside = c.loop = true;
		c.before = c.number;
		c.set(READS | NEXT.incrementAndGet());
		return true;
	}

	public static void done() {
		Cell c = here();
		if (c == null)
			return;
		c.reads = false;
		c.set(c.before);
	}

	/* Loops that run what others give them, and futures that call their listeners (Netty). */

	/** The number of the work that goes on elsewhere: the same work, so it keeps its number. */
	private static long current() {
		Cell c = here();
		return c != null && (c.number != 0 || c.loop) ? c.number : fresh();
	}

	/** A loop is given this to run, now or later. */
	public static Runnable carry(Runnable r) {
		if (r == null || r instanceof Wrapped || off())
			return r;
		long n = current();
		return n == 0 ? r : new Wrapped.OfRunnable(r, n);
	}

	public static Callable<?> carry(Callable<?> c) {
		if (c == null || c instanceof Wrapped || off())
			return c;
		long n = current();
		return n == 0 ? c : new Wrapped.OfCallable<>(c, n);
	}

	/** The listener is to be called at the future's end. */
	public static void listening(Object future, Object listener) {
		if (future == null || listener == null || off())
			return;
		long n = current();
		if (n != 0 && !Listening.put(future, listener, n))
			control.putLong(8, control.getLong(8) + 1);
	}

	/** A future is about to call this listener: is the method to call itself? It is called in the work that asked. */
	public static boolean tells(Object future, Object listener) {
		Cell c = outside();
		if (c == null)
			return false;
		if (off())
			return false;
		long n = Listening.take(future, listener);
		if (n == c.number)
			return false;
		c.push(n);
		c.inside = true;
		return true;
	}

	public static void told() {
		Cell c = here();
		if (c != null)
			c.pop();
	}

	/* Others. */

	/** VirtualThread.start() begins: what it does is read from its id. */
	public static void started(Thread t) {
		if (t != null && !off())
			handed(JVM | t.getId());
	}
}
