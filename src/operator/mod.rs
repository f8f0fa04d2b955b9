//! The ESME side: queue, pool of binds, bind task, outcome, retry.
