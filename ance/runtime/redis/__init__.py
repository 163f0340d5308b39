"""Redis: its address and credentials, connections that outlive failovers, leases, and a server of one's own."""
