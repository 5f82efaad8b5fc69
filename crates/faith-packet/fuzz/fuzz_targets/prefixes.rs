//! Any text is a prefix or an error. A prefix is read back as it is shown, and a set of faith prefixes
//! finds each address in the one prefix that holds it.

#![no_main]

use faith_packet::cidr::{Ipv4Prefix, Ipv6Prefix};
use faith_packet::prefix::{FaithPrefix, PrefixSet};
use faith_packet::rfc6052::{embed, extract};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut set = PrefixSet::new();
    for line in text.lines() {
        if let Ok(prefix) = line.parse::<Ipv4Prefix>() {
            assert_eq!(prefix.to_string().parse(), Ok(prefix));
            assert!(prefix.contains(prefix.address()));
        }
        if let Ok(prefix) = line.parse::<Ipv6Prefix>() {
            assert_eq!(prefix.to_string().parse(), Ok(prefix));
            assert!(prefix.contains(prefix.address()));
        }
        if let Ok(prefix) = line.parse::<FaithPrefix>() {
            assert_eq!(prefix.to_string().parse(), Ok(prefix));
            let server = [198, 51, 100, 2].into();
            assert_eq!(extract(&prefix, embed(&prefix, server)), Some(server));
            let clear = set.iter().all(|have| !have.overlaps(&prefix));
            assert_eq!(set.insert(prefix).is_ok(), clear);
        }
    }
    for prefix in &set {
        assert_eq!(set.find(&prefix.address()), Some(prefix));
        assert!(set.contains(prefix.address().to_bits()));
    }
});
