/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's socket: HTTP/1.1 on clew.sock (0600) in the store's directory, with the native API's
 * calls. Each request runs on a thread and a connection of its own, so none waits for another, and
 * the store's writer waits for none.
 */
#pragma once

#include "base/cleanup.h"
#include "store/store.h"

struct clew_server;

#define CLEW_SERVER_SOCKET "clew.sock"
/* Connections at a time; more are closed at once. */
#define CLEW_SERVER_MAX_CONNECTIONS 32u
/* Bytes of a request's body; more is answered 413. */
#define CLEW_SERVER_MAX_BODY (1u << 20)
/* A client that neither sends nor reads for this long is closed. */
#define CLEW_SERVER_IDLE_S 60u

/**
 * clew_server_start() - serve a store that was opened for writing, until clew_server_stop().
 * A socket that a dead writer left is replaced (the store's lock says that nobody else lives).
 */
int clew_server_start(struct clew_store *st, struct clew_server **ret, char **ret_error);
/** clew_server_stop() - before the store is closed. Waits for requests that run. Takes NULL. */
void clew_server_stop(struct clew_server *s);
CLEW_DEFINE_CLEANUP(struct clew_server *, clew_server_stop)
