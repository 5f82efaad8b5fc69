//! A strict receiver reads any two ends back from a header of either version, and from the whole header only.

#![no_main]

#[path = "../../tests/proxy/reader.rs"]
mod reader;

use std::net::SocketAddrV6;

use faith_packet::proxy::{Version, header};
use libfuzzer_sys::fuzz_target;

type End = ([u8; 16], u16, u32, u32);

fn socket_address((address, port, flow, scope): End) -> SocketAddrV6 {
    SocketAddrV6::new(address.into(), port, flow, scope)
}

fuzz_target!(|ends: (End, End)| {
    let (client, destination) = (socket_address(ends.0), socket_address(ends.1));
    let bare = |end: SocketAddrV6| SocketAddrV6::new(*end.ip(), end.port(), 0, 0);
    let expected = Some((bare(client), bare(destination)));

    let line = header(Version::V1, client, destination);
    assert_eq!(reader::read_v1(&line), expected);
    assert_eq!(reader::read_v2(&line), None);
    let binary = header(Version::V2, client, destination);
    assert_eq!(reader::read_v2(&binary), expected);
    assert_eq!(reader::read_v1(&binary), None);
    for length in 0..line.len() {
        assert_eq!(reader::read_v1(&line[..length]), None);
    }
    for length in 0..binary.len() {
        assert_eq!(reader::read_v2(&binary[..length]), None);
    }
});
