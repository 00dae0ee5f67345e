//! `target-pg`: what lines on stdin become in a Postgres database.

mod bad_input;
mod batches;
mod cli;
mod columns;
mod connecting;
mod drop_in;
mod keys;
mod lost;
mod random;
mod refused;
mod sessions;
mod sources;
mod values;
