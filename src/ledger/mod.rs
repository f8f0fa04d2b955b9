//! What has happened to every accepted message: a pure state machine fed by batches of events, one thread that owns it and the spool.
