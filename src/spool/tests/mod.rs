//! Stories of the spool on a simulated disk.
