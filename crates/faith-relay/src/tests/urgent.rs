//! Urgent data stays urgent and keeps its place in the stream.

use std::io::Write as _;
use std::net::TcpStream;

use faith_sys::tcp::at_mark;
use socket2::SockRef;

use super::{Lab, eventually, options, read_exactly};

fn send_urgent_byte(from: &mut TcpStream, to: &mut TcpStream) {
    SockRef::from(&*to).set_out_of_band_inline(true).unwrap();
    from.write_all(b"before").unwrap();
    assert_eq!(read_exactly(to, 6), b"before");
    SockRef::from(&*from).send_out_of_band(b"!").unwrap();
    eventually("the mark arrives", || at_mark(&*to));
    from.write_all(b"after").unwrap();
    assert_eq!(read_exactly(to, 1), b"!");
    assert!(!at_mark(&*to));
    assert_eq!(read_exactly(to, 5), b"after");
}

#[test]
fn an_urgent_byte_of_the_client_arrives_as_urgent_and_in_order() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    send_urgent_byte(&mut client, &mut server);
    send_urgent_byte(&mut client, &mut server);
}

#[test]
fn an_urgent_byte_of_the_server_arrives_as_urgent_and_in_order() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    send_urgent_byte(&mut server, &mut client);
    send_urgent_byte(&mut server, &mut client);
}
