// SPDX-License-Identifier: Apache-2.0
package clew.agent;

import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/** A task or function with the number that it had when it was handed over. */
abstract class Wrapped {
	final long number;

	Wrapped(long number) {
		this.number = number;
	}

	static final class OfRunnable extends Wrapped implements Runnable {
		private final Runnable f;

		OfRunnable(Runnable f, long number) {
			super(number);
			this.f = f;
		}

		@Override
		public void run() {
			long before = Work.enter(number);
			try {
				f.run();
			} finally {
				Work.leave(before);
			}
		}

		@Override
		public String toString() {
			return f.toString();
		}
	}

	static final class OfCallable<V> extends Wrapped implements Callable<V> {
		private final Callable<V> f;

		OfCallable(Callable<V> f, long number) {
			super(number);
			this.f = f;
		}

		@Override
		public V call() throws Exception {
			long before = Work.enter(number);
			try {
				return f.call();
			} finally {
				Work.leave(before);
			}
		}

		@Override
		public String toString() {
			return f.toString();
		}
	}

	static final class OfSupplier<T> extends Wrapped implements Supplier<T> {
		private final Supplier<T> f;

		OfSupplier(Supplier<T> f, long number) {
			super(number);
			this.f = f;
		}

		@Override
		public T get() {
			long before = Work.join(number);
			try {
				return f.get();
			} finally {
				Work.leave(before);
			}
		}
	}

	static final class OfFunction<T, R> extends Wrapped implements Function<T, R> {
		private final Function<T, R> f;

		OfFunction(Function<T, R> f, long number) {
			super(number);
			this.f = f;
		}

		@Override
		public R apply(T t) {
			long before = Work.join(number);
			try {
				return f.apply(t);
			} finally {
				Work.leave(before);
			}
		}
	}

	static final class OfConsumer<T> extends Wrapped implements Consumer<T> {
		private final Consumer<T> f;

		OfConsumer(Consumer<T> f, long number) {
			super(number);
			this.f = f;
		}

		@Override
		public void accept(T t) {
			long before = Work.join(number);
			try {
				f.accept(t);
			} finally {
				Work.leave(before);
			}
		}
	}

	static final class OfBiFunction<T, U, R> extends Wrapped implements BiFunction<T, U, R> {
		private final BiFunction<T, U, R> f;

		OfBiFunction(BiFunction<T, U, R> f, long number) {
			super(number);
			this.f = f;
		}

		@Override
		public R apply(T t, U u) {
			long before = Work.join(number);
			try {
				return f.apply(t, u);
			} finally {
				Work.leave(before);
			}
		}
	}

	static final class OfBiConsumer<T, U> extends Wrapped implements BiConsumer<T, U> {
		private final BiConsumer<T, U> f;

		OfBiConsumer(BiConsumer<T, U> f, long number) {
			super(number);
			this.f = f;
		}

		@Override
		public void accept(T t, U u) {
			long before = Work.join(number);
			try {
				f.accept(t, u);
			} finally {
				Work.leave(before);
			}
		}
	}
}
