//! The sandbox portal as a program.

fn main() {}
