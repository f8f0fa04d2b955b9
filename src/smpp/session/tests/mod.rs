//! Stories of two sessions, or of one session and bytes.

mod faults;
mod matrix;
mod pair;
mod properties;
mod stories;
mod timers;
