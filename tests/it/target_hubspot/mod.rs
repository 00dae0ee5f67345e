//! `target-hubspot`: what lines on stdin become in a portal.

mod answers;
mod cli;
mod cuts;
mod delivery;
mod documents;
mod dry_runs;
mod ends;
mod faults;
mod identity;
mod input;
mod odd_input;
mod outcomes;
mod rejects;
mod round_trip;
mod rules;
mod same_record;
mod sources;
