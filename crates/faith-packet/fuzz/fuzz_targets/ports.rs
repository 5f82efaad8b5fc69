//! Any text is a set of ports or an error. A set is read back as it is shown, and holds exactly the
//! ports of its ranges.

#![no_main]

use faith_packet::ports::PortSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let set: PortSet = match text.parse() {
        Ok(set) => set,
        Err(error) => {
            assert!(error.to_string().len() < 1000);
            return;
        }
    };
    assert_eq!(set.to_string().parse().as_ref(), Ok(&set));
    assert!(set.intersection(&set).as_ref() == Some(&set) && !set.contains(0));
    for range in set.ranges() {
        assert!(set.contains(*range.start()) && set.contains(*range.end()));
        assert!(!set.contains(range.start() - 1));
        assert!(range.end().checked_add(1).is_none_or(|behind| !set.contains(behind)));
    }
});
