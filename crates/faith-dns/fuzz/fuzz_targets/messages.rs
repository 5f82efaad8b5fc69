//! Any octets are a query or a response, or are rejected, and what clients get is within bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| faith_dns::octets::check(data));
