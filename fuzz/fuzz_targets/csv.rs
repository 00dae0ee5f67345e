#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tap_hubspot_tickets_fuzz::csv(bytes));
