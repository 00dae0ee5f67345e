//! `target-hubspot`: what lines on stdin become in a portal.

mod answers;
mod cli;
mod cuts;
mod delivery;
mod documents;
mod faults;
mod identity;
mod input;
mod outcomes;
mod rejects;
mod round_trip;
mod rules;
mod sources;
