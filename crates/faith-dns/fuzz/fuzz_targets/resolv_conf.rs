//! Any text is a resolv.conf file.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| faith_dns::octets::check_resolv_conf(text));
