// SPDX-License-Identifier: Apache-2.0
package clew.agent;

import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/** A task or function with the number that it had when it was handed over; F: what it is. */
abstract class Wrapped<F> {
	final F f;
	private final long number;

	Wrapped(F f, long number) {
		this.f = f;
		this.number = number;
	}

	/** Calls f with as many of these as it takes. */
	abstract Object call(Object a, Object b) throws Exception;

	/** The same under the number of a task. */
	final Object task() {
		return call(Work.enter(number), null, null);
	}

	/** The same under the number of a function, which a virtual thread may run for others. */
	final Object function(Object a, Object b) {
		return call(Work.join(number), a, b);
	}

	private Object call(long before, Object a, Object b) {
		try {
			return call(a, b);
		} catch (Exception e) {
			throw Wrapped.<RuntimeException>as(e);
		} finally {
			Work.leave(before);
		}
	}

	/** f's own exceptions go on as they are: the compiler is told that they are of another kind. */
	@SuppressWarnings("unchecked")
	private static <E extends Exception> E as(Exception e) throws E {
		throw (E) e;
	}

	static final class OfRunnable extends Wrapped<Runnable> implements Runnable {
		OfRunnable(Runnable f, long number) {
			super(f, number);
		}

		@Override
		Object call(Object a, Object b) {
			f.run();
			return null;
		}

		@Override
		public void run() {
			task();
		}

		@Override
		public String toString() {
			return f.toString();
		}
	}

	@SuppressWarnings("unchecked")
	static final class OfCallable<V> extends Wrapped<Callable<V>> implements Callable<V> {
		OfCallable(Callable<V> f, long number) {
			super(f, number);
		}

		@Override
		Object call(Object a, Object b) throws Exception {
			return f.call();
		}

		@Override
		public V call() {
			return (V) task();
		}

		@Override
		public String toString() {
			return f.toString();
		}
	}

	@SuppressWarnings("unchecked")
	static final class OfSupplier<T> extends Wrapped<Supplier<T>> implements Supplier<T> {
		OfSupplier(Supplier<T> f, long number) {
			super(f, number);
		}

		@Override
		Object call(Object a, Object b) {
			return f.get();
		}

		@Override
		public T get() {
			return (T) function(null, null);
		}
	}

	@SuppressWarnings("unchecked")
	static final class OfFunction<T, R> extends Wrapped<Function<T, R>> implements Function<T, R> {
		OfFunction(Function<T, R> f, long number) {
			super(f, number);
		}

		@Override
		Object call(Object a, Object b) {
			return f.apply((T) a);
		}

		@Override
		public R apply(T t) {
			return (R) function(t, null);
		}
	}

	@SuppressWarnings("unchecked")
	static final class OfConsumer<T> extends Wrapped<Consumer<T>> implements Consumer<T> {
		OfConsumer(Consumer<T> f, long number) {
			super(f, number);
		}

		@Override
		Object call(Object a, Object b) {
			f.accept((T) a);
			return null;
		}

		@Override
		public void accept(T t) {
			function(t, null);
		}
	}

	@SuppressWarnings("unchecked")
	static final class OfBiFunction<T, U, R> extends Wrapped<BiFunction<T, U, R>> implements BiFunction<T, U, R> {
		OfBiFunction(BiFunction<T, U, R> f, long number) {
			super(f, number);
		}

		@Override
		Object call(Object a, Object b) {
			return f.apply((T) a, (U) b);
		}

		@Override
		public R apply(T t, U u) {
			return (R) function(t, u);
		}
	}

	@SuppressWarnings("unchecked")
	static final class OfBiConsumer<T, U> extends Wrapped<BiConsumer<T, U>> implements BiConsumer<T, U> {
		OfBiConsumer(BiConsumer<T, U> f, long number) {
			super(f, number);
		}

		@Override
		Object call(Object a, Object b) {
			f.accept((T) a, (U) b);
			return null;
		}

		@Override
		public void accept(T t, U u) {
			function(t, u);
		}
	}
}
