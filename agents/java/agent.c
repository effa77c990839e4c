/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native half of the Java agent: loaded by the attach listener of a running JVM.
 *
 *	load	define clew.agent.* in the boot loader (their bytes are in here), change the JDK's classes
 *		(transform.c) and those of servers with pools of their own, loaded now or later, and be quiet
 *	later	state.until_ns says until when somebody listens. Nobody does: the changed methods return
 *		after reading that word
 *
 * It starts no thread, opens no file, and is never unloaded. handed() and joined() are empty: they are
 * places for probes.
 *
 * Linked without libraries, so that it needs no version of any libc: the process has one.
 */
#include <jvmti.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent_classes.h"
#include "abi/java_agent.h"
#include "hooks.h"
#include "transform.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT struct clew_java_state clew_java_state = {
	.magic = CLEW_JAVA_MAGIC,
	.version = CLEW_JAVA_VERSION,
};

static int changed_methods;
/* Loaders that find clew.agent.Work. */
static jobject system_loader, platform_loader;
static jclass our_work; /* clew.agent.Work */
static jclass
	url_loader; /* java.net.URLClassLoader: those of containers and fat jars are made of it */

/*
 * Probed: the task is in rdx. A five-byte nop is what kernels that can do without a trap replace.
 */
__asm__(".text\n"
	".globl clew_java_handed\n.type clew_java_handed, @function\n"
	"clew_java_handed:\n\t.byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\tret\n"
	".size clew_java_handed, . - clew_java_handed\n"
	".globl clew_java_joined\n.type clew_java_joined, @function\n"
	"clew_java_joined:\n\t.byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\tret\n"
	".size clew_java_joined, . - clew_java_joined\n");

EXPORT void clew_java_handed(JNIEnv *jni, jclass class, jlong task);
EXPORT void clew_java_joined(JNIEnv *jni, jclass class, jlong from, jlong to);

/* Freed by the key's destructor when the thread ends. */
static jobject JNICALL new_cell(JNIEnv *jni, jclass class)
{
	uint64_t *cell = pthread_getspecific(clew_java_state.key);

	(void)class;
	if (!cell) {
		cell = calloc(1, sizeof(*cell));
		if (!cell || pthread_setspecific(clew_java_state.key, cell)) {
			free(cell);
			return NULL;
		}
	}
	return (*jni)->NewDirectByteBuffer(jni, cell, sizeof(*cell));
}

/* A loader of a kind that we do not know: it is asked. */
static bool loads_us(JNIEnv *jni, jobject loader)
{
	jclass loaders = (*jni)->FindClass(jni, "java/lang/ClassLoader");
	jmethodID load = loaders ? (*jni)->GetMethodID(jni, loaders, "loadClass",
						       "(Ljava/lang/String;)Ljava/lang/Class;")
				 : NULL;
	jstring name = load ? (*jni)->NewStringUTF(jni, "clew.agent.Work") : NULL;
	jobject found = name ? (*jni)->CallObjectMethod(jni, loader, load, name) : NULL;
	bool ours =
		!(*jni)->ExceptionCheck(jni) && found && (*jni)->IsSameObject(jni, found, our_work);

	(*jni)->ExceptionClear(jni);
	return ours;
}

/*
 * Code that calls us must find our classes, which the boot loader has. Loaders that ask nobody before
 * them (some of OSGi's) are left alone.
 */
static bool finds_us(JNIEnv *jni, jobject loader)
{
	return !loader || (*jni)->IsSameObject(jni, loader, system_loader) ||
	       (*jni)->IsSameObject(jni, loader, platform_loader) ||
	       (url_loader && (*jni)->IsInstanceOf(jni, loader, url_loader)) ||
	       loads_us(jni, loader);
}

/* A class is loaded, or somebody changes it: us or other agents. */
static void JNICALL on_class(jvmtiEnv *ti, JNIEnv *jni, jclass redefined, jobject loader,
			     const char *name, jobject domain, jint n, const unsigned char *data,
			     jint *ret_n, unsigned char **ret)
{
	unsigned char *room;
	uint8_t *changed;
	size_t size;
	int methods;

	(void)redefined;
	(void)domain;
	if (!name || !hooks_know(name) || !finds_us(jni, loader))
		return;
	methods = transform_class(name, data, n, &changed, &size);
	if (methods <= 0)
		return;
	if (!(*ti)->Allocate(ti, size, &room)) {
		memcpy(room, changed, size);
		*ret = room;
		*ret_n = size;
		changed_methods += methods;
	}
	free(changed);
}

static jclass define_classes(JNIEnv *jni)
{
	jclass work = NULL;

	for (size_t i = 0; i < sizeof(agent_classes) / sizeof(*agent_classes); i++) {
		jclass c = (*jni)->DefineClass(jni, agent_classes[i].name, NULL,
					       (const jbyte *)agent_classes[i].bytes,
					       agent_classes[i].n);

		if (!c)
			return NULL;
		if (!strcmp(agent_classes[i].name, "clew/agent/Work"))
			work = c;
	}
	return work;
}

/* The pool that runs virtual threads; NULL: there is none. */
static jobject scheduler_of(JNIEnv *jni)
{
	jclass c = (*jni)->FindClass(jni, "java/lang/VirtualThread");
	jfieldID f = c ? (*jni)->GetStaticFieldID(jni, c, "DEFAULT_SCHEDULER",
						  "Ljava/util/concurrent/ForkJoinPool;")
		       : NULL;

	(*jni)->ExceptionClear(jni);
	return f ? (*jni)->GetStaticObjectField(jni, c, f) : NULL;
}

static int begin(JNIEnv *jni, jclass work)
{
	const JNINativeMethod natives[] = {
		{(char *)"cell", (char *)"()Ljava/nio/ByteBuffer;", (void *)new_cell},
		{(char *)"handed", (char *)"(J)V", (void *)clew_java_handed},
		{(char *)"joined", (char *)"(JJ)V", (void *)clew_java_joined},
	};
	jobject control =
		(*jni)->NewDirectByteBuffer(jni, &clew_java_state.until_ns, 2 * sizeof(uint64_t));
	jmethodID m = (*jni)->GetStaticMethodID(jni, work, "begin",
						"(Ljava/nio/ByteBuffer;Ljava/lang/Object;)V");

	if (!control || !m || (*jni)->RegisterNatives(jni, work, natives, 3))
		return -1;
	(*jni)->CallStaticVoidMethod(jni, work, m, control, scheduler_of(jni));
	return (*jni)->ExceptionCheck(jni) ? -1 : 0;
}

static jobject loader_named(JNIEnv *jni, const char *getter)
{
	jclass c = (*jni)->FindClass(jni, "java/lang/ClassLoader");
	jmethodID m =
		c ? (*jni)->GetStaticMethodID(jni, c, getter, "()Ljava/lang/ClassLoader;") : NULL;
	jobject loader = m ? (*jni)->CallStaticObjectMethod(jni, c, m) : NULL;

	(*jni)->ExceptionClear(jni); /* Java 8 has no platform loader */
	return loader ? (*jni)->NewGlobalRef(jni, loader) : NULL;
}

static void find_loaders(JNIEnv *jni)
{
	jclass c = (*jni)->FindClass(jni, "java/net/URLClassLoader");

	(*jni)->ExceptionClear(jni);
	url_loader = c ? (*jni)->NewGlobalRef(jni, c) : NULL;
	system_loader = loader_named(jni, "getSystemClassLoader");
	platform_loader = loader_named(jni, "getPlatformClassLoader");
}

/* One that is loaded already, by whichever loader. */
static void change_loaded(jvmtiEnv *ti, JNIEnv *jni, jclass class)
{
	jobject loader = NULL;
	char *signature;
	size_t n;

	if ((*ti)->GetClassSignature(ti, class, &signature, NULL))
		return;
	n = strlen(signature);
	if (n > 2 && signature[0] == 'L') {
		signature[n - 1] = 0;
		if (hooks_know(signature + 1) && !(*ti)->GetClassLoader(ti, class, &loader) &&
		    finds_us(jni, loader))
			/* One at a time: what one class does not take, the others may. */
			(void)(*ti)->RetransformClasses(ti, 1, &class);
		if (loader)
			(*jni)->DeleteLocalRef(jni, loader);
	}
	(*ti)->Deallocate(ti, (unsigned char *)signature);
}

/* Classes that are loaded later come through on_class(), too. */
static void change_classes(jvmtiEnv *ti, JNIEnv *jni)
{
	jclass *classes;
	jint n;

	(*ti)->SetEventNotificationMode(ti, JVMTI_ENABLE, JVMTI_EVENT_CLASS_FILE_LOAD_HOOK, NULL);
	if ((*ti)->GetLoadedClasses(ti, &n, &classes))
		return;
	for (jint i = 0; i < n; i++) {
		change_loaded(ti, jni, classes[i]);
		(*jni)->DeleteLocalRef(jni, classes[i]);
	}
	(*ti)->Deallocate(ti, (unsigned char *)classes);
}

static jvmtiEnv *tools_of(JavaVM *vm)
{
	const jvmtiCapabilities wanted = {.can_retransform_classes = 1};
	const jvmtiEventCallbacks callbacks = {.ClassFileLoadHook = on_class};
	jvmtiEnv *ti = NULL;

	if ((*vm)->GetEnv(vm, (void **)&ti, JVMTI_VERSION_1_2))
		return NULL;
	if ((*ti)->AddCapabilities(ti, &wanted) ||
	    (*ti)->SetEventCallbacks(ti, &callbacks, sizeof(callbacks)))
		return NULL;
	return ti;
}

EXPORT JNIEXPORT jint JNICALL Agent_OnAttach(JavaVM *vm, char *options, void *reserved)
{
	jvmtiEnv *ti = tools_of(vm);
	JNIEnv *jni = NULL;
	pthread_key_t key;
	jclass work;

	(void)options;
	(void)reserved;
	if (!ti || (*vm)->GetEnv(vm, (void **)&jni, JNI_VERSION_1_6))
		return CLEW_JAVA_NO_JVMTI;
	if ((*jni)->FindClass(jni, "clew/agent/Work"))
		return CLEW_JAVA_THERE;
	(*jni)->ExceptionClear(jni);
	if (pthread_key_create(&key, free))
		return CLEW_JAVA_NO_KEY;
	clew_java_state.key = key;
	work = define_classes(jni);
	if (!work || begin(jni, work)) {
		(*jni)->ExceptionClear(jni);
		return CLEW_JAVA_CLASSES;
	}
	our_work = (*jni)->NewGlobalRef(jni, work);
	find_loaders(jni);
	change_classes(ti, jni);
	(*jni)->ExceptionClear(jni);
	return changed_methods ? CLEW_JAVA_OK : CLEW_JAVA_METHODS;
}
