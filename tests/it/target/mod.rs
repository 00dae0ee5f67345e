//! `target-hubspot`: what lines on stdin become in a portal.

mod cli;
mod delivery;
mod documents;
mod faults;
mod input;
mod rejects;
mod round_trip;
mod rules;
mod sources;
