use super::*;

#[test]
fn the_example_of_rfc_1071_has_the_sum_given_there() {
    // Section 3: the sum of these octets is ddf2.
    assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
}

#[test]
fn an_odd_octet_counts_as_the_high_half_of_a_word() {
    assert_eq!(internet(&[0x12, 0x34, 0x56]), internet(&[0x12, 0x34, 0x56, 0x00]));
    assert_eq!(internet(&[0xab]), !0xab00);
    assert_eq!(internet(&[]), 0xffff);
}

#[test]
fn carries_survive_a_long_run_of_ones() {
    assert_eq!(internet(&vec![0xff; 65_575]), !0xff00);
    assert_eq!(internet(&vec![0xff; 65_574]), 0);
}

#[test]
fn octets_with_their_own_checksum_sum_to_zero() {
    let mut octets: Vec<u8> = (0..200).collect();
    let sum = internet(&octets);
    octets.extend(sum.to_be_bytes());
    assert_eq!(internet(&octets), 0);
}
