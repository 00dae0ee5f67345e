//! The Singer tap.

fn main() {}
