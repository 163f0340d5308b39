"""Channel options of both ends of the feed.

They must agree: a server hangs up on a client that pings more often than it permits.
"""

PING_SECONDS = 60
PING_TIMEOUT_SECONDS = 20
CONNECTION_AGE_SECONDS = 600
CONNECTION_GRACE_SECONDS = 30

SERVER_OPTIONS = (
    # Without this, Linux lets two servers share a port and hands each a part of the clients.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_SECONDS * 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Half of what clients do, so that a late clock costs no connection.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_SECONDS * 500),
    # Clients resolve the name again now and then, so they follow a trainer that has moved.
    ("grpc.max_connection_age_ms", CONNECTION_AGE_SECONDS * 1000),
    ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_SECONDS * 1000),
)

CLIENT_OPTIONS = (
    # Notices a peer that vanished without closing its connection.
    ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_SECONDS * 1000),
    ("grpc.http2.max_pings_without_data", 0),
)
