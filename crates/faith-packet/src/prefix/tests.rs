use super::*;

fn prefix(text: &str) -> FaithPrefix {
    text.parse().unwrap()
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn each_length_of_rfc_6052_is_accepted_and_shown_as_written() {
    for text in [
        "2001:db8::/32",
        "2001:db8:100::/40",
        "2001:db8:122::/48",
        "2001:db8:122:300::/56",
        "2001:db8:122:344::/64",
        "64:ff9b::/96",
        "fd00::/64",
    ] {
        assert_eq!(prefix(text).to_string(), text);
    }
}

#[test]
fn every_other_length_is_refused() {
    for length in (0..=255).filter(|length| !LENGTHS.contains(length)) {
        assert_eq!(FaithPrefix::new(address("::"), length), Err(PrefixError::Length(length)));
    }
}

#[test]
fn a_prefix_with_host_bits_is_refused_with_the_right_one() {
    let error = "64:ff9b::1/96".parse::<FaithPrefix>().unwrap_err();
    assert_eq!(error.to_string(), "64:ff9b::1/96 has host bits set; write 64:ff9b::/96");
}

#[test]
fn text_that_is_no_prefix_is_refused() {
    for text in [
        "",
        "/",
        "64:ff9b::",
        "64:ff9b::/",
        "/96",
        "64:ff9b::/+96",
        "64:ff9b::/96/96",
        "64:ff9b::/x",
        "64:ff9b::/256",
        "198.51.100.0/24",
        "64:ff9b::%eth0/96",
        " 64:ff9b::/96",
    ] {
        assert_eq!(text.parse::<FaithPrefix>(), Err(PrefixError::Syntax(text.to_owned())));
    }
}

#[test]
fn an_error_shows_only_the_beginning_of_very_long_text() {
    let error = "é".repeat(100_000).parse::<FaithPrefix>().unwrap_err();
    assert_eq!(error, PrefixError::Syntax(format!("{}…", "é".repeat(64))));
}

#[test]
fn a_prefix_that_touches_reserved_space_is_refused() {
    for text in [
        "::/96",
        "::/64",
        "::/32",
        "::ffff:0:0/96",
        "fe80::/64",
        "fe80::/32",
        "febf:ffff::/32",
        "ff00::/32",
        "ff02::/96",
        "ffff:ffff::/32",
    ] {
        let error = text.parse::<FaithPrefix>().unwrap_err();
        assert!(matches!(error, PrefixError::Reserved { .. }), "{text}: {error}");
    }
    for text in ["::fffe:0:0/96", "0:0:0:0:1::/96", "fec0::/32", "fe7f:ffff::/32", "1::/32"] {
        assert!(text.parse::<FaithPrefix>().is_ok(), "{text}");
    }
}

#[test]
fn a_96_with_bits_in_the_u_octet_is_accepted() {
    assert_eq!(prefix("2001:db8:0:0:ff00::/96").length(), 96);
}

#[test]
fn a_prefix_contains_its_first_and_last_address_and_neither_neighbour() {
    let prefix = prefix("2001:db8:122:344::/64");
    assert!(prefix.contains(&address("2001:db8:122:344::")));
    assert!(prefix.contains(&address("2001:db8:122:344:ffff:ffff:ffff:ffff")));
    assert!(!prefix.contains(&address("2001:db8:122:343:ffff:ffff:ffff:ffff")));
    assert!(!prefix.contains(&address("2001:db8:122:345::")));
}

#[test]
fn prefixes_overlap_when_one_is_inside_the_other() {
    let wide = prefix("2001:db8::/32");
    let narrow = prefix("2001:db8:122:344::/64");
    assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide) && wide.overlaps(&wide));
    assert!(!narrow.overlaps(&prefix("2001:db8:122:345::/64")));
}

#[test]
fn a_set_refuses_an_overlap_and_names_the_prefix_in_the_way() {
    let mut set = PrefixSet::new();
    set.insert(prefix("64:ff9b::/96")).unwrap();
    set.insert(prefix("2001:db8:1::/48")).unwrap();
    for text in ["2001:db8:1::/48", "2001:db8::/32", "2001:db8:1:2::/64"] {
        let expected = PrefixSetError::Overlap { prefix: prefix(text), existing: prefix("2001:db8:1::/48") };
        assert_eq!(set.insert(prefix(text)), Err(expected));
    }
    assert_eq!(set.len(), 2);
}

#[test]
fn a_set_is_ordered_by_address_and_finds_the_prefix_of_an_address() {
    let texts = ["fd00::/64", "64:ff9b::/96", "2001:db8:1::/48", "2001:db8:2::/96", "64:ff9b:1::/48"];
    let mut set = PrefixSet::new();
    for text in texts {
        set.insert(prefix(text)).unwrap();
    }
    let shown: Vec<String> = set.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["64:ff9b::/96", "64:ff9b:1::/48", "2001:db8:1::/48", "2001:db8:2::/96", "fd00::/64"]);

    for (inside, of) in [
        ("64:ff9b::c633:6402", "64:ff9b::/96"),
        ("64:ff9b:1:ffff::", "64:ff9b:1::/48"),
        ("2001:db8:1::", "2001:db8:1::/48"),
        ("2001:db8:2::ffff:ffff", "2001:db8:2::/96"),
        ("fd00::ffff:ffff:ffff:ffff", "fd00::/64"),
    ] {
        assert_eq!(set.find(&address(inside)), Some(&prefix(of)));
        assert!(set.contains(address(inside).to_bits()));
    }
    for outside in ["::1", "64:ff9b::1:0:0", "64:ff9b:2::", "2001:db8:2::1:0:0", "fd00:0:0:1::"] {
        assert_eq!(set.find(&address(outside)), None, "{outside}");
        assert!(!set.contains(address(outside).to_bits()), "{outside}");
    }
}

#[test]
fn a_removed_prefix_contains_nothing_and_can_be_added_again() {
    let mut set = PrefixSet::new();
    set.insert(prefix("64:ff9b::/96")).unwrap();
    let inside = address("64:ff9b::1").to_bits();
    assert!(set.contains(inside));
    assert!(!set.remove(&prefix("64:ff9b:1::/96")));
    assert!(set.remove(&prefix("64:ff9b::/96")));
    assert!(set.is_empty() && !set.contains(inside));
    assert!(!set.remove(&prefix("64:ff9b::/96")));
    assert_eq!(set.insert(prefix("64:ff9b::/96")), Ok(()));
}
