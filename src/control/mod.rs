//! The control socket: requests and replies as types, the socket itself.
