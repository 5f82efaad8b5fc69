use super::*;

fn set(ranges: &[(u16, u16)]) -> PortSet {
    PortSet::from_ranges(ranges.iter().copied()).unwrap()
}

#[test]
fn ranges_are_sorted_and_those_that_overlap_or_touch_are_merged() {
    let ports = set(&[(90, 100), (80, 85), (86, 87), (83, 84), (95, 99), (22, 22)]);
    assert_eq!(ports.ranges(), [22..=22, 80..=87, 90..=100]);
}

#[test]
fn equal_sets_compare_equal_however_they_were_written() {
    assert_eq!(set(&[(1, 3)]), set(&[(3, 3), (1, 1), (2, 2)]));
    assert_eq!(set(&[(1, 40000), (30000, 65535)]), PortSet::all());
}

#[test]
fn a_range_to_the_last_port_swallows_the_ranges_inside_it() {
    assert_eq!(set(&[(60000, 65535), (65535, 65535)]).ranges(), [60000..=65535]);
}

#[test]
fn membership_ends_exactly_at_the_ends_of_a_range() {
    let ports = set(&[(22, 22), (80, 90)]);
    let members: Vec<u16> = (0..=u16::MAX).filter(|&port| ports.contains(port)).collect();
    assert_eq!(members, [22, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90]);
}

#[test]
fn all_is_every_port_but_0() {
    let all = PortSet::all();
    assert!(!all.contains(0));
    assert!((1..=u16::MAX).all(|port| all.contains(port)));
}

#[test]
fn port_0_an_empty_list_and_a_reversed_range_are_refused() {
    assert_eq!(PortSet::single(0), Err(PortError::Zero));
    assert_eq!(PortSet::from_ranges([(0, 10)]), Err(PortError::Zero));
    assert_eq!(PortSet::from_ranges([(10, 0)]), Err(PortError::Zero));
    assert_eq!(PortSet::from_ranges([]), Err(PortError::Empty));
    let reversed = PortError::Reversed { first: 9, last: 8 };
    assert_eq!(PortSet::from_ranges([(1, 2), (9, 8)]), Err(reversed));
    assert_eq!(reversed.to_string(), "port range 9-8 is reversed; write 8-9");
}

#[test]
fn an_intersection_has_the_ports_of_both_sets() {
    let ports = set(&[(22, 22), (80, 90), (443, 443)]);
    for (ranges, expected) in [
        (&[(90, 95)][..], &[(90, 90)][..]),
        (&[(91, 442)], &[]),
        (&[(1, 21), (23, 79), (444, 65535)], &[]),
        (&[(1, 10), (443, 500)], &[(443, 443)]),
        (&[(1, 65535)], &[(22, 22), (80, 90), (443, 443)]),
        (&[(10, 82), (85, 86)], &[(22, 22), (80, 82), (85, 86)]),
    ] {
        let expected = (!expected.is_empty()).then(|| set(expected));
        assert_eq!(ports.intersection(&set(ranges)), expected, "{ranges:?}");
        assert_eq!(set(ranges).intersection(&ports), expected, "{ranges:?} the other way");
    }
}

#[test]
fn only_a_set_of_one_port_is_single() {
    assert_eq!(PortSet::single(443).unwrap().is_single(), Some(443));
    assert_eq!(set(&[(443, 444)]).is_single(), None);
    assert_eq!(set(&[(22, 22), (443, 443)]).is_single(), None);
}

#[test]
fn a_set_is_shown_as_a_user_writes_it() {
    assert_eq!(set(&[(80, 90), (22, 22)]).to_string(), "22,80-90");
    assert_eq!(PortSet::all().to_string(), "all");
    assert_eq!(set(&[(1, 65534)]).to_string(), "1-65534");
}

#[test]
fn a_list_is_read_in_any_order_and_shown_sorted_and_joined() {
    let show = |text: &str| text.parse::<PortSet>().unwrap().to_string();
    assert_eq!(show("25"), "25");
    assert_eq!(show("8000-8999,25,80,26"), "25-26,80,8000-8999");
    assert_eq!(show("1-65535"), "all");
    assert_eq!(show("all"), "all");
}

#[test]
fn an_error_shows_the_item_that_is_no_port() {
    for (text, item) in [
        ("", ""),
        ("25,", ""),
        ("25, 80", " 80"),
        ("http", "http"),
        ("25,all", "all"),
        ("80-", "80-"),
        ("-80", "-80"),
        ("+80", "+80"),
        ("80-+90", "80-+90"),
        ("1-2-3", "1-2-3"),
        ("65536", "65536"),
    ] {
        assert_eq!(text.parse::<PortSet>(), Err(PortListError::Syntax(item.to_owned())), "{text}");
    }
    assert_eq!("0-5".parse::<PortSet>(), Err(PortError::Zero.into()));
    let reversed = "90-80".parse::<PortSet>().unwrap_err();
    assert_eq!(reversed.to_string(), "port range 90-80 is reversed; write 80-90");
}
