/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for gRPC's connections, by GnuTLS as the HTTP library uses it; ALPN h2. */
#include <gnutls/gnutls.h>

#include "server/grpc.h"

struct grpc_tls {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
};

int grpc_tls_new(const char *cert, const char *key, struct grpc_tls **ret, char **ret_error)
{
	struct grpc_tls *t = calloc(1, sizeof(*t));
	const gnutls_datum_t c = {(unsigned char *)(uintptr_t)cert, (unsigned)strlen(cert)};
	const gnutls_datum_t k = {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)};
	int r;

	if (!t)
		return -ENOMEM;
	r = gnutls_certificate_allocate_credentials(&t->credentials);
	if (r == 0)
		r = gnutls_certificate_set_x509_key_mem(t->credentials, &c, &k,
							GNUTLS_X509_FMT_PEM);
	if (r >= 0)
		r = gnutls_priority_init(&t->priority, NULL, NULL);
	if (r < 0) {
		server_fail(ret_error, -EINVAL, "--tls-cert and --tls-key: %s", gnutls_strerror(r));
		grpc_tls_free(t);
		return -EINVAL;
	}
	*ret = t;
	return 0;
}

void grpc_tls_free(struct grpc_tls *t)
{
	if (!t)
		return;
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	if (t->credentials)
		gnutls_certificate_free_credentials(t->credentials);
	free(t);
}

int grpc_tls_session(struct grpc_tls *t, int fd, void **ret)
{
	static const unsigned char h2[] = "h2";
	const gnutls_datum_t alpn = {(unsigned char *)(uintptr_t)h2, 2};
	gnutls_session_t s;

	if (gnutls_init(&s, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
		return -ENOMEM;
	if (gnutls_priority_set(s, t->priority) < 0 ||
	    gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, t->credentials) < 0 ||
	    gnutls_alpn_set_protocols(s, &alpn, 1, 0) < 0) {
		gnutls_deinit(s);
		return -ENOMEM;
	}
	gnutls_transport_set_int(s, fd);
	*ret = s;
	return 0;
}

void grpc_tls_end(void *session)
{
	if (session)
		gnutls_deinit(session);
}

static ssize_t result(ssize_t r)
{
	if (r >= 0)
		return r;
	return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED ? -EAGAIN : -EPROTO;
}

int grpc_tls_handshake(void *session)
{
	return (int)result(gnutls_handshake(session));
}

ssize_t grpc_tls_read(void *session, void *p, size_t n)
{
	return result(gnutls_record_recv(session, p, n));
}

ssize_t grpc_tls_write(void *session, const void *p, size_t n)
{
	return result(gnutls_record_send(session, p, n));
}
