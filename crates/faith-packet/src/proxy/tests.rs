use super::*;

fn end(text: &str) -> SocketAddrV6 {
    text.parse().unwrap()
}

fn v1(client: &str, destination: &str) -> String {
    let header = header(Version::V1, end(client), end(destination));
    String::from_utf8(header.to_vec()).unwrap()
}

const FULL: &str = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";

#[test]
fn the_longest_line_of_version_1_has_104_octets() {
    let line = v1(FULL, FULL);
    let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    assert_eq!(line, format!("PROXY TCP6 {address} {address} 65535 65535\r\n"));
    assert_eq!(line.len(), 104);
}

#[test]
fn a_line_of_version_1_has_single_spaces_and_no_leading_zeros() {
    let line = v1("[2001:db8::1]:1024", "[64:ff9b::c633:6402]:25");
    assert_eq!(line, "PROXY TCP6 2001:db8::1 64:ff9b::c633:6402 1024 25\r\n");
    assert_eq!(v1("[::]:0", "[::1]:0"), "PROXY TCP6 :: ::1 0 0\r\n");
}

#[test]
fn no_address_in_version_1_has_decimal_parts() {
    let line = v1("[::ffff:192.0.2.1]:1", "[::192.0.2.1]:2");
    assert_eq!(line, "PROXY TCP6 ::ffff:c000:201 ::c000:201 1 2\r\n");
}

#[test]
fn scopes_and_flow_labels_are_left_out() {
    let client = SocketAddrV6::new("fe80::1".parse().unwrap(), 1, 7, 3);
    let line = header(Version::V1, client, end("[64:ff9b::1]:2"));
    assert_eq!(&line[..], b"PROXY TCP6 fe80::1 64:ff9b::1 1 2\r\n");
}

#[test]
fn a_header_of_version_2_has_52_octets_as_the_specification_lays_them_out() {
    let header = header(Version::V2, end("[2001:db8::1]:49152"), end("[64:ff9b::c633:6402]:80"));
    let expected: [&[u8]; 7] = [
        b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A",
        &[0x21, 0x21, 0, 36],
        &[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
        &[198, 51, 100, 2],
        &[0xc0, 0x00],
        &[0, 80],
    ];
    assert_eq!(&header[..], expected.concat());
    assert_eq!(header.len(), 16 + 36);
}

#[test]
fn both_versions_fit_into_the_smallest_segment_that_a_host_must_take() {
    for version in [Version::V1, Version::V2] {
        assert!(header(version, end(FULL), end(FULL)).len() <= 536);
    }
}

#[test]
fn a_header_is_shown_escaped() {
    let shown = format!("{:?}", header(Version::V1, end("[::1]:1"), end("[::2]:2")));
    assert_eq!(shown, r#"Header("PROXY TCP6 ::1 ::2 1 2\r\n")"#);
}
