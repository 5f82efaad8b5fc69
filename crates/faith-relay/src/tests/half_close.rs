//! The relay passes on the end of one direction, and the other direction goes on.

use std::io::Write;
use std::net::Shutdown;

use super::{Lab, options, read_exactly, read_to_end};
use crate::record::SessionEnd;

#[test]
fn a_client_that_half_closes_still_gets_the_answer() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut server), b"all of it");
    assert!(lab.nothing_ended());
    server.write_all(b"thanks").unwrap();
    assert_eq!(read_exactly(&mut client, 6), b"thanks");
    drop(server);
    assert!(read_to_end(&mut client).is_empty());
    assert_eq!(lab.ended().reason, SessionEnd::Closed);
}

#[test]
fn a_server_that_half_closes_still_gets_the_rest() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    server.write_all(b"that is all").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut client), b"that is all");
    client.write_all(b"one more").unwrap();
    assert_eq!(read_exactly(&mut server, 8), b"one more");
    drop(client);
    assert!(read_to_end(&mut server).is_empty());
    assert_eq!(lab.ended().reason, SessionEnd::Closed);
}

#[test]
fn a_fin_arrives_after_all_bytes_before_it() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.narrow_session();
    let bulk = vec![7; 4 << 20];
    let sender = std::thread::spawn(move || {
        client.write_all(&bulk).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    });
    assert_eq!(read_to_end(&mut server).len(), 4 << 20);
    drop((sender.join().unwrap(), server));
    assert_eq!(lab.ended().reason, SessionEnd::Closed);
}
