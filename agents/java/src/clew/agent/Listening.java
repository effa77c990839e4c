// SPDX-License-Identifier: Apache-2.0
package clew.agent;

import java.lang.ref.WeakReference;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * Who listens to which future, with the number of the work that asked for it. For futures that call their listeners
 * themselves: a listener stays as it is, so that it can be taken away again. Neither is held.
 */
final class Listening {
	private static final class Entry extends WeakReference<Object> {
		final int listener; // its identity
		final long number;

		Entry(Object future, int listener, long number) {
			super(future);
			this.listener = listener;
			this.number = number;
		}
	}

	private static final int SLOTS = 1 << 16;
	private static final int PROBES = 8;
	private static final AtomicReferenceArray<Entry> ENTRIES = new AtomicReferenceArray<>(SLOTS);

	private Listening() {
	}

	private static int slot(Object future, int listener, int i) {
		int h = (System.identityHashCode(future) * 31 + listener) * 0x9e3779b9;
		return ((h >>> 16) + i) & (SLOTS - 1);
	}

	/** False: there is no place for it. */
	static boolean put(Object future, Object listener, long number) {
		int id = System.identityHashCode(listener);
		for (int i = 0; i < PROBES; i++) {
			int at = slot(future, id, i);
			Entry e = ENTRIES.get(at);
			Object there = e == null ? null : e.get();
			/* Twice the same: nobody can tell which is called first. */
			if (there == future && e.listener == id) {
				if (e.number != number)
					ENTRIES.compareAndSet(at, e, new Entry(future, id, 0));
				return true;
			}
			if (there == null && ENTRIES.compareAndSet(at, e, new Entry(future, id, number)))
				return true;
		}
		return false;
	}

	/** The number, once; 0: not known. */
	static long take(Object future, Object listener) {
		int id = System.identityHashCode(listener);
		for (int i = 0; i < PROBES; i++) {
			int at = slot(future, id, i);
			Entry e = ENTRIES.get(at);
			if (e == null || e.listener != id || e.get() != future)
				continue;
			ENTRIES.compareAndSet(at, e, null);
			return e.number;
		}
		return 0;
	}
}
