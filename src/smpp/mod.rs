//! The SMPP protocol without I/O: frames, PDU views, status classes, times, and the session state machine for both roles.
