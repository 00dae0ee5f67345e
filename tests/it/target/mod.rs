//! `target-hubspot`: what lines on stdin become in a portal.

mod cli;
mod cuts;
mod delivery;
mod documents;
mod faults;
mod input;
mod outcomes;
mod rejects;
mod round_trip;
mod rules;
mod sources;
